//! Work that takes long: its caller sees how far it is, anybody with its ticket does, and another
//! worker begins it anew when its worker dies.
//!
//! ```text
//! cargo run -p replybus-examples --example progress
//! ```
//!
//! In one process; with the feature `servers`, and `AMQP_URL` and `REDIS_URL` set, over these.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::ensure;
use replybus::{Bus, CancelOutcome, Context, Never, TicketStatus, queue_handler};
use replybus_examples::anywhere::Anywhere;
use std::time::Duration;

#[queue_handler("press.requests")]
trait Press {
    /// Prints a book, page by page; returns the pages that were printed.
    #[command(job = "4h")]
    async fn print(&self, title: String, pages: u64) -> Result<u64, Never>;
}

struct Printer;

impl Press for Printer {
    async fn print(&self, title: String, pages: u64) -> Result<u64, Never> {
        let context = Context::current();
        for page in 0..pages {
            if context.is_cancelled() {
                return Ok(page);
            }
            context.progress(page, pages, format!("printing {title}"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(pages)
    }
}

/// Whoever awaits a job hears how far it is.
async fn awaited(press: &PressClient) -> anyhow::Result<()> {
    let pages = press
        .print("a leaflet".to_owned(), 12)
        .on_progress(|progress| println!("  {progress}"))
        .await?;
    println!("  {pages} pages");
    ensure!(pages == 12, "{pages} pages");
    Ok(())
}

/// Whoever has the ticket can ask, in any process.
async fn asked_for(bus: &Bus, press: &PressClient) -> anyhow::Result<()> {
    let ticket = press.print("a book".to_owned(), 100_000).submit().await?;
    let mut updates = ticket.progress(bus);
    let first = updates.next().await;
    println!("  it is begun: {}", first.is_some());
    let status = ticket.status(bus).await?;
    println!("  {status:?}");
    ensure!(
        matches!(status, TicketStatus::Running { attempt: 1, .. }),
        "{status:?}"
    );

    let told = ticket.cancel(bus).await?;
    ensure!(told == CancelOutcome::Running, "{told:?}");
    let pages = ticket.wait(bus).await?;
    println!("  that is enough: {pages} pages");
    ensure!(pages < 100_000, "it went on");
    let status = ticket.status(bus).await?;
    ensure!(status == TicketStatus::Done, "{status:?}");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let anywhere = Anywhere::open().await?;
    let bus = &anywhere.bus;
    let serving = bus.serve(PressServer::new(Printer)).concurrency(2).await?;
    let press = PressClient::new(bus);

    println!("somebody waits for a leaflet:");
    awaited(&press).await?;
    println!("somebody has a book printed, and asks:");
    asked_for(bus, &press).await?;

    serving.shutdown().await?;
    anywhere.close(&["press.requests"]).await
}
