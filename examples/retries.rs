//! Errors that pass: a command that its handler puts off, on the serving side; and, on the calling
//! side, queries that are made again and asked twice, within a budget.
//!
//! ```text
//! cargo run -p replybus-examples --example retries
//! ```
//!
//! In one process; with the feature `servers`, and `AMQP_URL` and `REDIS_URL` set, over these.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::{Context as _, ensure};
use replybus::{
    Context, RetryLater,
    client::{RetryBudget, RetryLayer},
    error::{BoxError, FaultCode},
    layer::{Next, from_fn},
    queue_handler,
    server::{Answer, Request, ServerService},
};
use replybus_examples::anywhere::Anywhere;
use serde::{Deserialize, Serialize};
use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

const QUEUES: [&str; 1] = ["payment.requests"];

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
enum Unpaid {
    #[error("the card was declined")]
    Declined,
    #[error("the bank did not answer attempt {attempt}")]
    NoBank { attempt: u32 },
}

#[queue_handler("payment.requests", timeout = "20s")]
trait Payments {
    /// Pays, as soon as the bank answers; returns the attempt that it answered.
    #[command(retry(max = 4, base = "400ms", max_delay = "1m"))]
    async fn pay(&self, amount: u64, answers_from: u32) -> Result<u32, Unpaid>;

    /// The rate of the day, which now and then takes long.
    #[query]
    async fn rate(&self) -> Result<u64, Unpaid>;
}

/// Talks to a bank that does not always answer.
#[derive(Default)]
struct Till {
    asked: AtomicU32,
}

impl Payments for Till {
    async fn pay(&self, amount: u64, answers_from: u32) -> Result<u32, Unpaid> {
        let attempt = Context::current().attempt();
        // Not answered: put off. Declined: answered.
        ask_the_bank(attempt, answers_from).retry_later()?;
        if amount > 1000 {
            return Err(Unpaid::Declined);
        }
        Ok(attempt)
    }

    async fn rate(&self) -> Result<u64, Unpaid> {
        if self.asked.fetch_add(1, Ordering::SeqCst) == 0 {
            // A worker that hangs: only another one answers.
            pending::<()>().await;
        }
        Ok(117)
    }
}

fn ask_the_bank(attempt: u32, answers_from: u32) -> Result<(), Unpaid> {
    println!("  asking the bank, attempt {attempt}");
    if attempt < answers_from {
        return Err(Unpaid::NoBank { attempt });
    }
    Ok(())
}

/// Around the handlers: the service is full for so many of its queries.
async fn turn_away(
    full: Arc<AtomicU32>,
    request: Request,
    next: Next<ServerService>,
) -> Result<Answer, BoxError> {
    let one_less = |left: u32| left.checked_sub(1);
    let is_query = request.method() == "rate";
    if is_query
        && full
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .is_ok()
    {
        println!("  turned away");
        return Ok(Answer::fault(FaultCode::Overloaded, "full"));
    }
    next.run(request).await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let anywhere = Anywhere::open().await?;
    let bus = &anywhere.bus;
    let full = Arc::new(AtomicU32::new(0));
    let turns_away = Arc::clone(&full);
    let layer = from_fn(move |request, next| turn_away(Arc::clone(&turns_away), request, next));
    let till = PaymentsServer::new(Till::default());
    let serving = bus.serve(till).layer(layer).await?;
    let payments = PaymentsClient::new(bus);

    println!("the bank answers the fourth attempt; the first pauses are held, the last is not:");
    let started = Instant::now();
    let attempt = payments.pay(70, 4).idempotency_key("order-17").await?;
    println!("paid at attempt {attempt} after {:.1?}", started.elapsed());
    ensure!(attempt == 4);
    // One call, one effect: the same key is answered.
    ensure!(payments.pay(70, 4).idempotency_key("order-17").await? == 4);

    println!("what does not pass is answered at once:");
    let declined = payments.pay(5000, 1).await.err().context("declined")?;
    ensure!(declined.into_handler()? == Unpaid::Declined);

    println!("no run is planned for when nobody waits any more:");
    let short = payments.pay(70, 99).timeout(Duration::from_millis(2500));
    let last = short.await.err().context("it has no answer")?;
    println!("told in time: {}", last.into_handler()?);

    println!("and when none is left, all errors are kept:");
    let ticket = payments.pay(70, 99).submit().await?;
    let last = ticket.wait_for(bus, Duration::from_secs(60)).await;
    let last = last.err().context("it has no answer")?.into_handler()?;
    ensure!(last == Unpaid::NoBank { attempt: 5 });
    let letters = bus.dead_letters("payment.requests").list(0..10).await?;
    let letter = letters.letters.first().context("no letter")?;
    for (number, error) in letter.retry_errors().enumerate() {
        println!("  run {}: {error}", number + 1);
    }
    ensure!(letter.retry_errors().count() == 5);

    println!("a caller that is turned away asks again, and twice while a worker hangs:");
    let budget = RetryBudget::new();
    let layer = RetryLayer::new().budget(budget.clone());
    let patient = payments.layer(layer.hedge_after(Duration::from_millis(500)));
    full.store(2, Ordering::SeqCst);
    let started = Instant::now();
    let rate = patient.rate().await?;
    println!("{rate} after {:.1?}", started.elapsed());
    ensure!(rate == 117);
    // Two attempts after those that were turned away, and one beside the one that hangs; more if this
    // machine is slow.
    ensure!(budget.attempts_left() <= 7, "{}", budget.attempts_left());

    serving.shutdown().await?;
    anywhere.forget_delays(&QUEUES).await?;
    anywhere.close(&QUEUES).await
}
