//! Streams of items, from a worker in a process of its own to this one and the other way: how many
//! arrive in a second, through the framework and through gRPC.

mod framework;
mod tonic;

use crate::{
    path::Site,
    stats,
    worker::{Ready, Worker},
};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// A way for a stream to travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The framework, as its users write it: RabbitMQ and Redis between the two.
    Replybus,
    /// gRPC, as tonic's generator would write it: one HTTP/2 connection, no broker.
    Tonic,
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Items of each stream.
    pub items: u64,
    /// Bytes of text of each item.
    pub bytes: u32,
    /// Rounds, in each of which every source has its turn.
    pub rounds: u32,
}

/// Where a stream goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    /// To the caller: it is the answer.
    Answer,
    /// From the caller: it is an argument, and the answer is what was counted of it.
    Argument,
}

/// What was measured of one source, in one direction.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    path: &'static str,
    direction: Direction,
    items: u64,
    item_bytes: u32,
    /// From the call until the last item was read, or until all was answered: the median over the
    /// rounds.
    items_per_s: f64,
    /// From the call until the first item was read, likewise; only its caller can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_item_us: Option<f64>,
}

/// One stream that arrived.
#[derive(Debug, Clone, Copy)]
struct Turn {
    first: Option<Duration>,
    all: Duration,
}

/// What a worker was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    items: u64,
    bytes: u64,
}

impl Counted {
    fn add(&mut self, text: &str) {
        self.items += 1;
        self.bytes += text.len() as u64;
    }
}

impl Source {
    const ALL: [Self; 2] = [Self::Replybus, Self::Tonic];

    /// Its name in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Replybus => "replybus",
            Self::Tonic => "tonic",
        }
    }

    /// The source of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Self> {
        let mut named = Self::ALL.into_iter().filter(|source| source.name() == name);
        named
            .next()
            .with_context(|| format!("there is no {name:?}"))
    }

    /// Serves streams in this process until it ends.
    ///
    /// # Errors
    /// A server can't be reached, refuses, or goes away.
    pub async fn serve(self, site: &Site, ready: Ready) -> Result<()> {
        match self {
            Self::Replybus => framework::serve(site, ready).await,
            Self::Tonic => tonic::serve(ready).await,
        }
    }
}

/// Reads a stream of each source in each round, and sends one to each.
///
/// # Errors
/// A worker or a server can't be reached, or what arrives is not what was asked for.
pub async fn measure(site: &Site, wanted: Wanted) -> Result<Vec<Row>> {
    let replybus = Worker::start(Source::Replybus.name(), site).await?;
    let tonic = Worker::start(Source::Tonic.name(), site).await?;
    let ours = framework::connect(site).await?;
    let theirs = tonic::connect(&tonic).await?;
    let mut turns: [Vec<Turn>; 4] = Default::default();
    // The first warms up.
    for round in 0..=wanted.rounds {
        let round_of_turns = [
            framework::read(&ours, wanted).await?,
            tonic::read(&theirs, wanted).await?,
            framework::send(&ours, wanted).await?,
            tonic::send(&theirs, wanted).await?,
        ];
        if round > 0 {
            for (turns, turn) in turns.iter_mut().zip(round_of_turns) {
                turns.push(turn);
            }
        }
    }
    for worker in [replybus, tonic] {
        worker.stop().await?;
    }
    framework::remove(site).await?;
    let ways = [Direction::Answer, Direction::Argument]
        .into_iter()
        .flat_map(|direction| Source::ALL.map(|source| (source, direction)));
    let rows = ways.zip(&turns);
    rows.map(|((source, direction), turns)| Row::of(source, direction, wanted, turns))
        .collect()
}

impl Row {
    fn of(source: Source, direction: Direction, wanted: Wanted, turns: &[Turn]) -> Result<Self> {
        let items = f64::from(u32::try_from(wanted.items).context("so many items take too long")?);
        let rates = turns.iter().map(|turn| items / turn.all.as_secs_f64());
        let firsts: Vec<_> = turns.iter().filter_map(|turn| turn.first).collect();
        let firsts_us = firsts.iter().map(|first| first.as_secs_f64() * 1e6);
        Ok(Self {
            path: source.name(),
            direction,
            items: wanted.items,
            item_bytes: wanted.bytes,
            items_per_s: stats::round(stats::median(rates), 1.0),
            first_item_us: (!firsts.is_empty())
                .then(|| stats::round(stats::median(firsts_us), 1.0)),
        })
    }
}

/// Notes when the first of the items came, and that all did.
struct Reading {
    wanted: Wanted,
    begun: Instant,
    first: Option<Duration>,
    read: u64,
}

impl Reading {
    fn begin(wanted: Wanted) -> Self {
        Self {
            wanted,
            begun: Instant::now(),
            first: None,
            read: 0,
        }
    }

    fn read(&mut self, text: &str) -> Result<()> {
        let bytes = usize::try_from(self.wanted.bytes)?;
        ensure!(text.len() == bytes, "an item has {} bytes", text.len());
        self.first.get_or_insert_with(|| self.begun.elapsed());
        self.read += 1;
        Ok(())
    }

    fn end(self) -> Result<Turn> {
        let (read, items) = (self.read, self.wanted.items);
        ensure!(read == items, "{read} items of {items} were read");
        Ok(Turn {
            first: self.first,
            all: self.begun.elapsed(),
        })
    }

    /// The end of a stream that was sent.
    fn sent(self, counted: Counted) -> Result<Turn> {
        let Wanted { items, bytes, .. } = self.wanted;
        let sent = Counted {
            items,
            bytes: items * u64::from(bytes),
        };
        ensure!(counted == sent, "{counted:?} arrived of {sent:?}");
        Ok(Turn {
            first: None,
            all: self.begun.elapsed(),
        })
    }
}

/// The items of a stream.
fn texts(items: u64, bytes: u32) -> impl Iterator<Item = String> + Send + 'static {
    let text = "x".repeat(usize::try_from(bytes).unwrap_or_default());
    (0..items).map(move |_| text.clone())
}
