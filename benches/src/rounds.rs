//! Gives each path its turn, round by round, so that a machine that slows down slows them all.

use crate::{
    cpu::{self, Processes},
    handler::Handler,
    load::Load,
    path::{Broker, Calls, Path, Site},
    plan::{Setting, Stage},
    report::{Row, Turn},
    worker::Worker,
};
use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use std::time::Duration;

/// Uncounted calls at the start of a turn: caches, allocations and flow control settle in it.
pub const RAMP: Duration = Duration::from_millis(300);

/// How often and how long each path is measured.
#[derive(Debug, Clone, Copy)]
pub struct Rounds {
    /// Turns of each path with each load.
    pub number: u32,
    /// The time in which a turn counts.
    pub seconds: Duration,
}

/// A path under measurement.
struct Entrant<'a> {
    path: &'a dyn Path,
    workers: Vec<Worker>,
    calls: Box<dyn Calls>,
    processes: Processes,
    /// By load, then by round.
    turns: Vec<Vec<Turn>>,
}

/// Measures the paths against the first of them in one stage, and removes what they left on the
/// servers, also when the measurement fails. `progress` is told of each round that ended.
///
/// # Errors
/// A server can't be reached, a worker fails, or a call does.
pub async fn run(
    paths: &[Box<dyn Path>],
    site: &Site,
    stage: &Stage,
    rounds: Rounds,
    progress: impl Fn(u32),
) -> Result<Vec<Row>> {
    let site = Site {
        handler: Handler(Duration::from_micros(stage.handler_us.into())),
        ..site.clone()
    };
    let rows = measure(paths, &site, stage, rounds, progress).await;
    for path in paths {
        let removed = path.remove(&site).await;
        if rows.is_ok() {
            removed.with_context(|| format!("could not clean up after {}", path.name()))?;
        }
    }
    rows
}

async fn measure(
    paths: &[Box<dyn Path>],
    site: &Site,
    stage: &Stage,
    rounds: Rounds,
    progress: impl Fn(u32),
) -> Result<Vec<Row>> {
    let mut entrants = Vec::new();
    for path in paths {
        entrants.push(enter(path.as_ref(), site, stage).await?);
    }
    for round in 1..=rounds.number {
        // Whoever follows an expensive path may pay for what it left behind: they take turns.
        let first = usize::try_from(round)? % entrants.len();
        for (place, setting) in stage.settings.iter().enumerate() {
            let (last, first) = entrants.split_at_mut(first);
            for entrant in first.iter_mut().chain(last) {
                let turn = take_turn(entrant, *setting, rounds.seconds).await?;
                let turns = entrant.turns.get_mut(place);
                turns.context("no such load")?.push(turn);
            }
        }
        progress(round);
    }
    let rows = rows(&entrants, stage);
    for worker in entrants.into_iter().flat_map(|entrant| entrant.workers) {
        worker.stop().await?;
    }
    Ok(rows)
}

async fn enter<'a>(path: &'a dyn Path, site: &Site, stage: &Stage) -> Result<Entrant<'a>> {
    let workers = (0..stage.workers).map(|_| Worker::start(path.name(), site));
    let workers = try_join_all(workers).await?;
    let calls = path.connect(site, &workers).await;
    let broker = match path.broker() {
        Some(Broker::RabbitMq) => cpu::listening_at(&site.amqp_url, 5672),
        Some(Broker::Nats) => {
            let url = site.nats_url.as_deref();
            url.and_then(|url| cpu::listening_at(url, 4222))
        }
        None => Some(Vec::new()),
    };
    let redis = match path.uses_redis() {
        true => cpu::listening_at(&site.redis_url, 6379),
        false => Some(Vec::new()),
    };
    Ok(Entrant {
        path,
        calls: calls.with_context(|| format!("could not connect {}", path.name()))?,
        processes: Processes {
            caller: cpu::this(),
            worker: Some(workers.iter().map(Worker::id).collect()),
            broker,
            redis,
        },
        workers,
        turns: vec![Vec::new(); stage.settings.len()],
    })
}

async fn take_turn(entrant: &Entrant<'_>, setting: Setting, seconds: Duration) -> Result<Turn> {
    let load = Load {
        callers: setting.callers,
        ramp: RAMP,
        length: seconds,
    };
    let calls = entrant.calls.measure(load, setting.payload_bytes);
    let (slice, cpu) = tokio::join!(calls, entrant.processes.over(load));
    Ok(Turn {
        slice: slice.with_context(|| format!("{} failed", entrant.path.name()))?,
        seconds,
        cpu: cpu?,
    })
}

fn rows(entrants: &[Entrant<'_>], stage: &Stage) -> Vec<Row> {
    let mut rows = Vec::new();
    for (place, setting) in stage.settings.iter().enumerate() {
        let first = entrants.first().and_then(|first| first.turns.get(place));
        for entrant in entrants {
            if let (Some(turns), Some(first)) = (entrant.turns.get(place), first) {
                rows.push(Row::new(entrant.path.name(), stage, *setting, turns, first));
            }
        }
    }
    rows
}
