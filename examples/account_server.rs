//! A service over RabbitMQ and Redis: serves until it is told to stop, then drains.
//!
//! ```text
//! cargo run -p replybus-examples -F servers --example account_server
//! cargo run -p replybus-examples -F servers --example account_client    # in another terminal
//! ```
//!
//! The servers are those of `AMQP_URL` and `REDIS_URL`, or on this machine. With
//! `RUST_LOG=replybus=debug` each call is logged. Balances are in memory, so run one of it; a
//! service with a database runs as many as there is work for.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use replybus::{Amqp, Bus};
use replybus_examples::{
    contract::{AccountServiceClient, AccountServiceServer},
    ledger::Ledger,
    servers::{amqp_url, delete_queue, redis_url},
};
use replybus_redis::RedisReplies;
use std::{future::Future, io, time::Duration};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let told_to_stop = stop_signal()?;

    let bus = Bus::connect(Amqp::new(amqp_url()), RedisReplies::new(redis_url())).await?;
    let serving = bus
        .serve(AccountServiceServer::new(Ledger::default()))
        .drain_within(Duration::from_secs(5))
        .await?;
    let queue = AccountServiceClient::CONTRACT.queue;
    println!("serving {queue}");

    let drained = serving.run_until(told_to_stop).await?;
    println!(
        "stopped, {} deliveries given back to the queue",
        drained.given_back
    );

    bus.close(Duration::from_secs(5)).await;
    delete_queue(queue).await?;
    Ok(())
}

/// SIGTERM, as an orchestrator sends it, or Ctrl-C. Heard from now on, not from the first poll on.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
