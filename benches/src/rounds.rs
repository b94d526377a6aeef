//! Gives each path its turn, round by round, so that a machine that slows down slows them all.

use crate::{
    arguments::Arguments,
    load::{Load, Slice},
    path::{Calls, Path, Site},
    report::Row,
    worker::Worker,
};
use anyhow::{Context, Result};
use std::time::Duration;

/// Uncounted calls at the start of a turn: caches, allocations and flow control settle in it.
const RAMP: Duration = Duration::from_millis(300);

/// A path under measurement.
struct Entrant<'a> {
    path: &'a dyn Path,
    worker: Worker,
    calls: Box<dyn Calls>,
    /// By number of callers, then by round.
    slices: Vec<Vec<Slice>>,
}

/// Measures the paths against the first of them, and removes what they left on the servers, also
/// when the measurement fails. `progress` is told of each round that ended.
///
/// # Errors
/// A server can't be reached, a worker fails, or a call does.
pub async fn run(
    paths: &[Box<dyn Path>],
    site: &Site,
    arguments: &Arguments,
    progress: impl Fn(u32),
) -> Result<Vec<Row>> {
    let rows = measure(paths, site, arguments, progress).await;
    for path in paths {
        let removed = path.remove(site).await;
        if rows.is_ok() {
            removed.with_context(|| format!("could not clean up after {}", path.name()))?;
        }
    }
    rows
}

async fn measure(
    paths: &[Box<dyn Path>],
    site: &Site,
    arguments: &Arguments,
    progress: impl Fn(u32),
) -> Result<Vec<Row>> {
    let mut entrants = Vec::new();
    for path in paths {
        entrants.push(enter(path.as_ref(), site, arguments.callers.len()).await?);
    }
    for round in 1..=arguments.rounds {
        // Whoever follows an expensive path may pay for what it left behind: they take turns.
        let turn = usize::try_from(round)? % entrants.len();
        for (place, callers) in arguments.callers.iter().enumerate() {
            let load = Load {
                callers: *callers,
                ramp: RAMP,
                length: arguments.seconds,
            };
            let (last, first) = entrants.split_at_mut(turn);
            for entrant in first.iter_mut().chain(last) {
                let slice = entrant.calls.measure(load).await;
                let slice = slice.with_context(|| format!("{} failed", entrant.path.name()))?;
                entrant
                    .slices
                    .get_mut(place)
                    .context("no such load")?
                    .push(slice);
            }
        }
        progress(round);
    }
    let rows = rows(&entrants, &arguments.callers);
    for entrant in entrants {
        entrant.worker.stop().await?;
    }
    Ok(rows)
}

async fn enter<'a>(path: &'a dyn Path, site: &Site, loads: usize) -> Result<Entrant<'a>> {
    let worker = Worker::start(path.name(), &site.run).await?;
    let calls = path.connect(site).await;
    Ok(Entrant {
        path,
        worker,
        calls: calls.with_context(|| format!("could not connect {}", path.name()))?,
        slices: vec![Vec::new(); loads],
    })
}

fn rows(entrants: &[Entrant<'_>], callers: &[u32]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (place, callers) in callers.iter().enumerate() {
        let first = entrants.first().and_then(|first| first.slices.get(place));
        for entrant in entrants {
            if let (Some(slices), Some(first)) = (entrant.slices.get(place), first) {
                rows.push(Row::new(entrant.path.name(), *callers, slices, first));
            }
        }
    }
    rows
}
