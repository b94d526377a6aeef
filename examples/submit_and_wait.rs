//! An answer that is fetched later, by another process: submit, keep the ticket, wait on it.
//!
//! ```text
//! cargo run -p replybus-examples -F servers --example submit_and_wait
//! ```
//!
//! Over RabbitMQ and Redis. The example starts itself a second time, with the ticket as its
//! argument: that process knows nothing else of the call.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use replybus::{Amqp, Bus, CallId, Ticket};
use replybus_examples::{
    contract::{AccountError, AccountServiceClient, AccountServiceServer},
    ledger::Ledger,
    servers::{amqp_url, delete_queue, redis_url},
};
use replybus_redis::RedisReplies;
use std::{env, time::Duration};
use tokio::process::Command;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bus = Bus::connect(Amqp::new(amqp_url()), RedisReplies::new(redis_url())).await?;
    match env::args().nth(1) {
        None => submit(&bus).await?,
        Some(ticket) => wait(&bus, &ticket).await?,
    }
    bus.close(Duration::from_secs(5)).await;
    Ok(())
}

async fn submit(bus: &Bus) -> anyhow::Result<()> {
    let queue = format!("examples.submit.{}", CallId::new());
    let service = || AccountServiceServer::new(Ledger::default());
    // The queue exists from the first time it is served; whether anyone is there now is no matter.
    bus.serve(service())
        .on_queue(&queue)
        .await?
        .shutdown()
        .await?;

    let accounts = AccountServiceClient::new(bus).on_queue(&queue);
    let ticket = accounts.deposit("ada".to_owned(), 1_000).submit().await?;
    let ticket = serde_json::to_string(&ticket)?;
    println!("submitted while no worker runs; the ticket: {ticket}");

    let mut waiting = Command::new(env::current_exe()?)
        .arg(&ticket)
        .kill_on_drop(true)
        .spawn()?;
    let serving = bus.serve(service()).on_queue(&queue).await?;
    println!("a worker runs");
    let ended = waiting.wait().await?;

    // The reply stays for ten minutes: it can be looked at again.
    wait(bus, &ticket).await?;
    serving.shutdown().await?;
    delete_queue(&queue).await?;
    anyhow::ensure!(ended.success(), "the other process: {ended}");
    Ok(())
}

async fn wait(bus: &Bus, ticket: &str) -> anyhow::Result<()> {
    let ticket: Ticket<Result<u64, AccountError>> = serde_json::from_str(ticket)?;
    let balance = ticket.wait_for(bus, Duration::from_secs(20)).await?;
    println!("process {}: the answer is {balance}", std::process::id());
    assert_eq!(balance, 1_000);
    Ok(())
}
