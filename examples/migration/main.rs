//! A service moves to replybus while its callers go on: from a queue with answers that are polled
//! for in Redis, from a loop on lapin by hand, and from gRPC; the service first, and the callers
//! first.
//!
//! ```text
//! cargo run -p replybus-examples -F servers,grpc --example migration
//! ```
//!
//! Over RabbitMQ and Redis. docs/migration.md tells what happens, step by step.

#![allow(
    clippy::print_stdout,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "an example speaks to who runs it, and its contracts are public elsewhere"
)]

#[path = "mod.rs"]
mod migration;

use migration::{
    grpc::Grpc,
    place::Place,
    polled::Polled,
    reply_to::ReplyTo,
    stages::{self, Old},
};
use replybus::{Bus, CallId};
use replybus_examples::servers::{amqp_url, redis_url};
use std::io;

fn place() -> io::Result<Place> {
    let name = format!("examples.migration.{}", CallId::new());
    Place::new(amqp_url(), redis_url(), name)
}

async fn moved<O: Old>(from: &str) -> anyhow::Result<()> {
    let here = place()?;
    stages::service_first::<O>(&here).await?;
    here.remove().await?;
    println!("{from}, the service first: every answer was right");
    let here = place()?;
    stages::callers_first::<O>(&here).await?;
    here.remove().await?;
    println!("{from}, the callers first: every answer was right");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    moved::<Polled>("polled for in Redis").await?;
    moved::<ReplyTo>("a reply queue by hand").await?;
    moved::<Grpc>("gRPC").await?;

    let bus = Bus::in_memory();
    let book = migration::orders::OrdersServer::new(migration::orders::Book::default());
    let serving = bus.serve(book).await?;
    let called = migration::orders::call(&bus).await;
    called.map_err(|error| anyhow::anyhow!("{error}"))?;
    serving.shutdown().await?;
    Ok(())
}
