//! Who serves a queue: three instances are listed and asked, one is drained, and a call is told at
//! once when nobody is left.
//!
//! ```text
//! cargo run -p replybus-examples --example presence
//! ```
//!
//! In one process; with the feature `servers`, and `AMQP_URL` and `REDIS_URL` set, over these.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::{Context as _, ensure};
use replybus::{Bus, FailureKind, Never, control::DrainOutcome, queue_handler};
use replybus_examples::anywhere::Anywhere;
use std::{future::IntoFuture, time::Duration};

const QUEUE: &str = RatesClient::CONTRACT.queue;

#[queue_handler("rates.requests", timeout = "10s")]
trait Rates {
    /// What a euro costs.
    #[query]
    async fn rate(&self, currency: String) -> Result<u64, Never>;

    /// Publishes the rates of the day, and returns their number.
    async fn publish(&self, day: u32) -> Result<u32, Never>;
}

struct Board;

impl Rates for Board {
    async fn rate(&self, currency: String) -> Result<u64, Never> {
        Ok(100 + currency.len() as u64)
    }

    async fn publish(&self, day: u32) -> Result<u32, Never> {
        Ok(day)
    }
}

/// Those that serve, as they say themselves.
async fn list(bus: &Bus) -> anyhow::Result<usize> {
    let instances = bus.instances(QUEUE).await?;
    for instance in &instances {
        let version = instance.version.as_deref().unwrap_or("no version");
        let methods: Vec<_> = instance.methods.keys().map(String::as_str).collect();
        println!(
            "  {} {version} ({}), process {} on {:?}",
            instance.service,
            methods.join(", "),
            instance.process,
            instance.host,
        );
    }
    Ok(instances.len())
}

/// What each of them did, and how long the way to it takes.
async fn ask(bus: &Bus) -> anyhow::Result<()> {
    let control = bus.control(QUEUE);
    for pong in control.ping().await? {
        println!("  {} answers within {:.1?}", pong.instance, pong.took);
    }
    let mut served = 0;
    for stats in control.stats().await? {
        let rates = stats.methods.get("rate").cloned().unwrap_or_default();
        println!("  {} served {} calls of rate", stats.instance, rates.served);
        served += rates.served;
    }
    ensure!(served == 30, "{served} calls were served");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let anywhere = Anywhere::open().await?;
    let bus = &anywhere.bus;
    let serve = || bus.serve(RatesServer::new(Board)).version("1.4.0");
    let (first, second) = (serve().await?, serve().await?);
    let third = serve().allow_drain().await?;
    let rates = RatesClient::new(bus);
    for _ in 0..30 {
        rates.rate("USD".to_owned()).await?;
    }
    println!("three serve the rates:");
    ensure!(list(bus).await? == 3, "not three");
    ask(bus).await?;

    println!("all are told to drain, and one allows it:");
    for drain in bus.control(QUEUE).drain(Duration::from_secs(10)).await? {
        println!("  {}: {:?}", drain.instance, drain.outcome);
        let may = [
            DrainOutcome::Refused,
            DrainOutcome::Drained { given_back: 0 },
        ];
        ensure!(may.contains(&drain.outcome), "it drains still");
    }
    third.run_until(std::future::pending::<()>()).await?;
    ensure!(list(bus).await? == 2, "not two");

    first.shutdown().await?;
    second.shutdown().await?;
    println!("nobody is left, and a call is told so:");
    let called = rates.publish(17).await;
    let failure = called.err().context("it was answered")?;
    println!("  {failure}");
    ensure!(failure.kind() == Some(FailureKind::NoConsumer), "{failure}");
    ensure!(!failure.may_have_executed(), "it may have been run");

    println!("one that waits for the service is answered by the next:");
    let waits = tokio::spawn(rates.publish(18).wait_for_service().into_future());
    let next = serve().await?;
    println!("  {} rates", waits.await??);
    next.shutdown().await?;
    anywhere.close(&[QUEUE]).await
}
