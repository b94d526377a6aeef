//! Answers that are streams of items: a reader that takes all of it, one that takes its time, one that
//! leaves, and an error at the end.
//!
//! ```text
//! cargo run -p replybus-examples --example streams
//! ```
//!
//! In one process; with the feature `servers`, and `AMQP_URL` and `REDIS_URL` set, over these.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt, stream};
use replybus::{CallError, queue_handler, stream::Items};
use replybus_examples::anywhere::Anywhere;
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::oneshot, time::sleep};

const QUEUES: [&str; 1] = ["log.requests"];

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the disk failed at line {line}")]
struct DiskFailed {
    line: u64,
}

#[queue_handler("log.requests")]
trait Log {
    /// The lines from `from` on, below `to`.
    #[stream]
    async fn lines(&self, from: u64, to: u64) -> Result<Items<String, DiskFailed>, DiskFailed>;

    /// The lines that are still to be written.
    #[stream]
    async fn follow(&self) -> Result<Items<String, DiskFailed>, DiskFailed>;
}

/// Counts the lines that were read from it.
struct Disk {
    read: Arc<AtomicU64>,
    left: std::sync::Mutex<Option<oneshot::Sender<()>>>,
}

/// The line at which this disk fails.
const BAD_LINE: u64 = 200_000;

impl Log for Disk {
    async fn lines(&self, from: u64, to: u64) -> Result<Items<String, DiskFailed>, DiskFailed> {
        let read = Arc::clone(&self.read);
        // A line is read when there is room for it, not before.
        Ok(Items::new(stream::iter(from..to).map(move |line| {
            read.fetch_add(1, Ordering::Relaxed);
            match line {
                BAD_LINE => Err(DiskFailed { line }),
                _ => Ok(format!("{line}: all is well")),
            }
        })))
    }

    async fn follow(&self) -> Result<Items<String, DiskFailed>, DiskFailed> {
        let left = self.left.lock().ok().and_then(|mut left| left.take());
        // Dropped with the stream: whoever waits for it learns that the reader has left.
        Ok(Items::new(stream::unfold(left, |left| async {
            sleep(Duration::from_millis(10)).await;
            Some((Ok("all is well".to_owned()), left))
        })))
    }
}

async fn all_of_it(log: &LogClient) -> anyhow::Result<()> {
    let mut lines = log.lines(0, 100_000).await?;
    let mut count = 0;
    while let Some(line) = lines.next().await {
        ensure!(line?.starts_with(&format!("{count}: ")), "not in order");
        count += 1;
    }
    println!("{count} lines, in order, each once");
    ensure!(count == 100_000, "not all");
    Ok(())
}

/// A slow reader holds its producer up.
async fn with_time(log: &LogClient, read: &AtomicU64) -> anyhow::Result<()> {
    let before = read.load(Ordering::Relaxed);
    let mut lines = log.lines(0, 100_000).window_bytes(4_096).await?;
    for _ in 0..10 {
        lines.next().await.context("the stream has ended")??;
        sleep(Duration::from_millis(5)).await;
    }
    let ahead = read.load(Ordering::Relaxed) - before - 10;
    println!("10 lines were taken, and {ahead} more were read from the disk");
    ensure!(ahead < 4_096 / 20, "it did not wait for its reader");
    Ok(())
}

async fn an_error(log: &LogClient) -> anyhow::Result<()> {
    let mut lines = log.lines(BAD_LINE - 2, BAD_LINE + 2).await?;
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => println!("{line}"),
            Err(CallError::Handler(error)) => println!("{error}"),
            Err(CallError::Bus(failure)) => return Err(failure.into()),
        }
    }
    Ok(())
}

/// Dropped, a stream ends where it comes from.
async fn leaving(log: &LogClient, left: oneshot::Receiver<()>) -> anyhow::Result<()> {
    let lines = log.follow().await?;
    // It is a `Stream`, with all that there is for these.
    let three: Vec<_> = lines.take(3).collect().await;
    ensure!(three.iter().all(Result::is_ok), "it failed");
    // The sender is dropped, never used.
    let _ = left.await;
    println!("3 lines were enough, and the handler's stream is gone");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let anywhere = Anywhere::open().await?;
    let (says_left, left) = oneshot::channel();
    let read = Arc::new(AtomicU64::new(0));
    let disk = Disk {
        read: Arc::clone(&read),
        left: Some(says_left).into(),
    };
    let serving = anywhere.bus.serve(LogServer::new(disk)).await?;
    let log = LogClient::new(&anywhere.bus);

    all_of_it(&log).await?;
    with_time(&log, &read).await?;
    an_error(&log).await?;
    leaving(&log, left).await?;

    serving.shutdown().await?;
    anywhere.close(&QUEUES).await
}
