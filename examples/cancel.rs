//! Calls that nobody waits for any more: one that runs, one that waits in the queue, and those that
//! a handler made.
//!
//! ```text
//! cargo run -p replybus-examples --example cancel
//! ```
//!
//! In one process; with the feature `servers`, and `AMQP_URL` and `REDIS_URL` set, over these.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::ensure;
use replybus::{Bus, CancelOutcome, Context, FailureKind, Never, queue_handler};
use replybus_examples::anywhere::Anywhere;
use std::{future::IntoFuture, sync::Arc, time::Duration};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const QUEUES: [&str; 2] = ["archive.requests", "desk.requests"];

#[queue_handler("archive.requests", timeout = "1m")]
trait Archive {
    /// Searches for longer than anybody waits.
    #[query]
    async fn search(&self, words: String) -> Result<Vec<String>, Never>;

    /// Writes pages, until it is done or told to stop; returns how many.
    async fn print(&self, pages: u32) -> Result<u32, Never>;
}

#[queue_handler("desk.requests", timeout = "1m")]
trait Desk {
    /// Has the archive search.
    #[query]
    async fn ask(&self, words: String) -> Result<usize, Never>;
}

/// Says what its handlers do.
struct Shelves(UnboundedSender<String>);

/// Says that a search ended, however it did.
struct Searching<'a>(&'a Shelves, String);

impl Drop for Searching<'_> {
    fn drop(&mut self) {
        self.0.say(format!("the search for {} has ended", self.1));
    }
}

impl Shelves {
    fn say(&self, what: String) {
        // Nobody listens once the example is over.
        let _ = self.0.send(what);
    }
}

impl Archive for Shelves {
    async fn search(&self, words: String) -> Result<Vec<String>, Never> {
        self.say(format!("searching for {words}"));
        let _searching = Searching(self, words);
        std::future::pending().await
    }

    async fn print(&self, pages: u32) -> Result<u32, Never> {
        self.say(format!("printing {pages} pages"));
        let context = Context::current();
        for printed in 0..pages {
            // Between two pages it can stop.
            if context.is_cancelled() {
                self.say(format!("told to stop after {printed} pages"));
                return Ok(printed);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(pages)
    }
}

struct Clerk(ArchiveClient);

impl Desk for Clerk {
    async fn ask(&self, words: String) -> Result<usize, Never> {
        let found = self.0.search(words).await;
        Ok(found.map_or(0, |found| found.len()))
    }
}

async fn said(said: &mut UnboundedReceiver<String>, what: &str) -> anyhow::Result<()> {
    let now = said.recv().await.unwrap_or_default();
    println!("  {now}");
    ensure!(now.starts_with(what), "not {what}");
    Ok(())
}

/// A dropped call takes its handler with it, and what that had called.
async fn dropped(bus: &Bus, heard: &mut UnboundedReceiver<String>) -> anyhow::Result<()> {
    println!("somebody asks, and leaves:");
    let called = tokio::spawn(
        DeskClient::new(bus)
            .ask("the answer".to_owned())
            .into_future(),
    );
    said(heard, "searching").await?;
    called.abort();
    said(heard, "the search for the answer has ended").await
}

/// A command that runs is told; one that does not never will.
async fn for_sure(bus: &Bus, heard: &mut UnboundedReceiver<String>) -> anyhow::Result<()> {
    let archive = ArchiveClient::new(bus);
    println!("one prints, another one waits for the printer:");
    let mut first = archive.print(100_000);
    let handle = first.cancel_handle();
    let first = tokio::spawn(first.into_future());
    said(heard, "printing 100000").await?;
    let second = archive.print(7).submit().await?;

    let never = second.cancel(bus).await?;
    println!("  the one that waits: {never:?}");
    ensure!(never == CancelOutcome::NeverStarted, "it was started");
    let failure = second.wait(bus).await.err().and_then(|error| error.kind());
    ensure!(failure == Some(FailureKind::Cancelled), "{failure:?}");

    let running = handle.cancel().await?;
    println!("  the one that prints: {running:?}");
    ensure!(running == CancelOutcome::Running, "it was not running");
    said(heard, "told to stop").await?;
    let pages = first.await??;
    let late = handle.cancel().await?;
    println!("  and a moment later: {late:?}");
    ensure!(late == CancelOutcome::Done(Ok(pages)), "not done");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let anywhere = Anywhere::open().await?;
    let bus = &anywhere.bus;
    let (says, mut heard) = unbounded_channel();
    let archive = bus.serve(ArchiveServer::new(Arc::new(Shelves(says))));
    let archive = archive.concurrency(1).await?;
    let clerk = Clerk(ArchiveClient::new(bus));
    let desk = bus.serve(DeskServer::new(clerk)).await?;

    dropped(bus, &mut heard).await?;
    for_sure(bus, &mut heard).await?;

    desk.shutdown().await?;
    archive.shutdown().await?;
    anywhere.close(&QUEUES).await
}
