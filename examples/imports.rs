//! Arguments that are streams of items: a handler that reads all of it, one that takes its time, one
//! that has had enough, and a caller that leaves.
//!
//! ```text
//! cargo run -p replybus-examples --example imports
//! ```
//!
//! In one process; with the feature `servers`, and `AMQP_URL` and `REDIS_URL` set, over these.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::ensure;
use futures_util::{StreamExt, stream};
use replybus::{CallError, CallFailure, FailureKind, queue_handler, stream::Items};
use replybus_examples::anywhere::Anywhere;
use serde::{Deserialize, Serialize};
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::sleep};

const QUEUES: [&str; 1] = ["imports.requests"];

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
enum ImportFailed {
    #[error("line {line} is no amount: {text:?}")]
    NoAmount { line: u64, text: String },
    #[error("its sender has left after {lines} lines")]
    Left { lines: u64 },
}

#[queue_handler("imports.requests", timeout = "1m")]
trait Imports {
    /// Adds the amounts in `lines` to an account, and says what they come to.
    async fn import(
        &self,
        account: String,
        #[stream] lines: Items<String>,
    ) -> Result<i64, ImportFailed>;

    /// Checks lines, as slowly as that is.
    #[query]
    async fn check(&self, #[stream] lines: Items<String>) -> Result<u64, ImportFailed>;
}

/// Says which lines it has of calls that did not come to their end.
struct Ledger {
    left: mpsc::UnboundedSender<FailureKind>,
}

impl Imports for Ledger {
    async fn import(
        &self,
        _account: String,
        mut lines: Items<String>,
    ) -> Result<i64, ImportFailed> {
        let (mut line, mut sum) = (0, 0);
        while let Some(next) = lines.next().await {
            let text = next.map_err(|failure: CallFailure| {
                // What was added is to be taken back: here nothing was.
                let _ = self.left.send(failure.kind());
                ImportFailed::Left { lines: line }
            })?;
            // To return is to read no more: what its sender has left is not taken.
            let amount: i64 = text
                .parse()
                .map_err(|_| ImportFailed::NoAmount { line, text })?;
            sum += amount;
            line += 1;
        }
        Ok(sum)
    }

    async fn check(&self, mut lines: Items<String>) -> Result<u64, ImportFailed> {
        let mut count = 0;
        while let Some(Ok(_)) = lines.next().await {
            count += 1;
            sleep(Duration::from_millis(1)).await;
        }
        Ok(count)
    }
}

async fn all_of_it(imports: &ImportsClient) -> anyhow::Result<()> {
    let lines = stream::iter(1..=100_000).map(|amount: i64| amount.to_string());
    let sum = imports.import("ada".to_owned(), lines).await?;
    println!("100000 lines come to {sum}");
    ensure!(sum == 5_000_050_000, "not all, or not once");
    Ok(())
}

/// A handler that returns ends the stream of its caller.
async fn enough(imports: &ImportsClient) -> anyhow::Result<()> {
    let lines = stream::iter(["70", "-5", "many"]).map(str::to_owned);
    let endless = lines.chain(stream::pending());
    match imports.import("ada".to_owned(), endless).await {
        Err(CallError::Handler(error)) => println!("{error}"),
        other => anyhow::bail!("{other:?}"),
    }
    Ok(())
}

/// A slow handler holds its caller up.
async fn with_time(imports: &ImportsClient) -> anyhow::Result<()> {
    let (taken, most_ahead) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counts = Arc::clone(&taken);
    let lines = stream::iter(0..200).map(move |line| {
        counts.fetch_add(1, Ordering::Relaxed);
        format!("{line:096}")
    });
    let call = imports.check(lines).window_bytes(1_000).into_future();
    let watched = async {
        sleep(Duration::from_millis(20)).await;
        most_ahead.store(taken.load(Ordering::Relaxed), Ordering::Relaxed);
    };
    let (checked, ()) = tokio::join!(call, watched);
    ensure!(checked? == 200, "not all");
    let early = most_ahead.load(Ordering::Relaxed);
    println!("after 20 ms {early} of 200 lines were taken");
    ensure!(early < 200, "it did not wait for its handler");
    Ok(())
}

/// A call that is dropped ends its handler's stream.
async fn leaving(
    imports: &ImportsClient,
    left: &mut mpsc::UnboundedReceiver<FailureKind>,
) -> anyhow::Result<()> {
    let begun = Arc::new(tokio::sync::Notify::new());
    let says_begun = Arc::clone(&begun);
    let lines = stream::once(async move {
        says_begun.notify_one();
        "70".to_owned()
    });
    let endless = lines.chain(stream::pending());
    let call = tokio::spawn(imports.import("ada".to_owned(), endless).into_future());
    begun.notified().await;
    call.abort();
    let why = left.recv().await;
    println!("the handler was told: {why:?}");
    ensure!(why == Some(FailureKind::Interrupted), "of something else");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let anywhere = Anywhere::open().await?;
    let (says_left, mut left) = mpsc::unbounded_channel();
    let ledger = Ledger { left: says_left };
    let serving = anywhere.bus.serve(ImportsServer::new(ledger)).await?;
    let imports = ImportsClient::new(&anywhere.bus);

    all_of_it(&imports).await?;
    enough(&imports).await?;
    with_time(&imports).await?;
    leaving(&imports, &mut left).await?;

    serving.shutdown().await?;
    anywhere.close(&QUEUES).await
}
