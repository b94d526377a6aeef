//! Streams of items, from a worker in a process of its own to this one: how many are read in a
//! second, through the framework and through gRPC.

mod framework;
mod tonic;

use crate::{
    path::Site,
    stats,
    worker::{Ready, Worker},
};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
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

/// What was measured of one source.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    path: &'static str,
    items: u64,
    item_bytes: u32,
    /// From the call until the last item was read: the median over the rounds.
    items_per_s: f64,
    /// From the call until the first item was read, likewise.
    first_item_us: f64,
}

/// One stream that was read.
#[derive(Debug, Clone, Copy)]
struct Turn {
    first: Duration,
    all: Duration,
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

/// Reads a stream of each source in each round.
///
/// # Errors
/// A worker or a server can't be reached, or an item is not what was asked for.
pub async fn measure(site: &Site, wanted: Wanted) -> Result<Vec<Row>> {
    let replybus = Worker::start(Source::Replybus.name(), site).await?;
    let tonic = Worker::start(Source::Tonic.name(), site).await?;
    let ours = framework::connect(site).await?;
    let theirs = tonic::connect(&tonic).await?;
    let mut turns = [Vec::new(), Vec::new()];
    // The first warms up.
    for round in 0..=wanted.rounds {
        let read = [
            framework::read(&ours, wanted).await?,
            tonic::read(&theirs, wanted).await?,
        ];
        if round > 0 {
            for (turns, turn) in turns.iter_mut().zip(read) {
                turns.push(turn);
            }
        }
    }
    for worker in [replybus, tonic] {
        worker.stop().await?;
    }
    framework::remove(site).await?;
    let items = f64::from(u32::try_from(wanted.items).context("so many items take too long")?);
    let rows = Source::ALL.into_iter().zip(turns).map(|(source, turns)| {
        let rates = turns.iter().map(|turn| items / turn.all.as_secs_f64());
        let firsts = turns.iter().map(|turn| turn.first.as_secs_f64() * 1e6);
        Row {
            path: source.name(),
            items: wanted.items,
            item_bytes: wanted.bytes,
            items_per_s: stats::round(stats::median(rates), 1.0),
            first_item_us: stats::round(stats::median(firsts), 1.0),
        }
    });
    Ok(rows.collect())
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
            first: self.first.unwrap_or_default(),
            all: self.begun.elapsed(),
        })
    }
}

/// The items of a worker.
fn texts(items: u64, bytes: u32) -> impl Iterator<Item = String> + Send + 'static {
    let text = "x".repeat(usize::try_from(bytes).unwrap_or_default());
    (0..items).map(move |_| text.clone())
}
