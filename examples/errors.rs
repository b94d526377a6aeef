//! What can become of a call, what each side sees of it, and when it may be repeated.
//!
//! ```text
//! cargo run -p replybus-examples --example errors
//! ```
//!
//! A handler panics on purpose; its message on stderr is the service's own log.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use replybus::{Bus, CallError, FailureKind, queue_handler};
use serde::{Deserialize, Serialize};
use std::{
    fmt::Debug,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::time::sleep;

#[queue_handler("printer.requests", timeout = "5s")]
trait Printer {
    /// Prints `pages` sheets in `takes`; returns how many were ever printed.
    async fn print(&self, pages: u32, takes: Duration) -> Result<u32, OutOfPaper>;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{missing} sheets are missing")]
struct OutOfPaper {
    missing: u32,
}

#[derive(Default)]
struct Office {
    printed: AtomicU32,
}

impl Printer for Office {
    async fn print(&self, pages: u32, takes: Duration) -> Result<u32, OutOfPaper> {
        println!("  the printer starts {pages} pages");
        assert!(pages > 0, "a page counter that was never meant to be zero");
        if pages > 100 {
            return Err(OutOfPaper {
                missing: pages - 100,
            });
        }
        sleep(takes).await;
        Ok(self.printed.fetch_add(pages, Ordering::SeqCst) + pages)
    }
}

/// What a caller can do, whatever the method was.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The service said no: show it, or decide by its value.
    TellTheUser,
    /// The program or its settings are wrong; once more is no better.
    Repair,
    /// Surely nothing was done: repeat as you like.
    Repeat,
    /// It can be done, or half done: repeat only a query, or under the same key.
    RepeatUnderTheSameKey,
}

fn next<E>(error: &CallError<E>) -> Next {
    use FailureKind::{BadRequest, ContractMismatch, KeyConflict, NotSent, UnknownMethod};
    match error {
        CallError::Handler(_) => Next::TellTheUser,
        CallError::Bus(failure) => match failure.kind() {
            NotSent | BadRequest | ContractMismatch | UnknownMethod | KeyConflict => Next::Repair,
            _ if failure.may_have_executed() => Next::RepeatUnderTheSameKey,
            _ => Next::Repeat,
        },
    }
}

fn expect<T: Debug>(
    outcome: Result<T, CallError<OutOfPaper>>,
    expected: Next,
) -> anyhow::Result<()> {
    let error = match outcome {
        Ok(value) => anyhow::bail!("an answer instead of an error: {value:?}"),
        Err(error) => error,
    };
    let next = next(&error);
    println!(
        "  the caller sees: {error}\n  may have executed: {}; so: {next:?}",
        error.may_have_executed()
    );
    anyhow::ensure!(next == expected, "expected {expected:?}");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    const FAST: Duration = Duration::ZERO;
    const SLOW: Duration = Duration::from_millis(1_500);
    let bus = Bus::in_memory();
    let printer = PrinterClient::new(&bus);

    println!("nobody has ever served this queue:");
    expect(printer.print(1, FAST).await, Next::Repeat)?;

    let serving = bus.serve(PrinterServer::new(Office::default())).await?;
    println!("the handler returns its own error:");
    expect(printer.print(130, FAST).await, Next::TellTheUser)?;

    println!("the handler panics:");
    expect(printer.print(0, FAST).await, Next::RepeatUnderTheSameKey)?;

    println!("the handler takes longer than the caller waits:");
    let hurried = printer
        .print(3, SLOW)
        .idempotency_key("letter")
        .timeout(SLOW / 3);
    expect(hurried.await, Next::RepeatUnderTheSameKey)?;
    println!("and again under the same key:");
    let printed = printer.print(3, SLOW).idempotency_key("letter").await?;
    println!("  the first run's answer: {printed} printed, and it was started once");
    assert_eq!(printed, 3);

    println!("the same key for something else:");
    expect(
        printer.print(4, SLOW).idempotency_key("letter").await,
        Next::Repair,
    )?;

    println!("metadata that can't travel:");
    expect(
        printer.print(1, FAST).metadata("Not A Name", "x").await,
        Next::Repair,
    )?;

    assert_eq!(printer.print(1, FAST).await?, 4, "3 of the letter, 1 now");
    serving.shutdown().await?;
    Ok(())
}
