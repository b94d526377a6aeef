//! A service moves to replybus while its callers go on: from a queue with answers that are polled
//! for in Redis, and from a loop on lapin by hand; the service first, and the callers first.
//!
//! ```text
//! cargo run -p replybus-examples -F servers --example migration
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

use migration::{place::Place, polled::Polled, reply_to::ReplyTo, stages};
use replybus::{Bus, CallId};
use replybus_examples::servers::{amqp_url, redis_url};

fn place() -> Place {
    Place {
        amqp_url: amqp_url(),
        redis_url: redis_url(),
        name: format!("examples.migration.{}", CallId::new()),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let here = place();
    stages::service_first::<Polled>(&here).await?;
    here.remove().await?;
    println!("polled for in Redis, the service first: every answer was right");
    let here = place();
    stages::callers_first::<Polled>(&here).await?;
    here.remove().await?;
    println!("polled for in Redis, the callers first: every answer was right");
    let here = place();
    stages::service_first::<ReplyTo>(&here).await?;
    here.remove().await?;
    println!("a reply queue by hand, the service first: every answer was right");
    let here = place();
    stages::callers_first::<ReplyTo>(&here).await?;
    here.remove().await?;
    println!("a reply queue by hand, the callers first: every answer was right");

    let bus = Bus::in_memory();
    let book = migration::orders::OrdersServer::new(migration::orders::Book::default());
    let serving = bus.serve(book).await?;
    let called = migration::orders::call(&bus).await;
    called.map_err(|error| anyhow::anyhow!("{error}"))?;
    serving.shutdown().await?;
    Ok(())
}
