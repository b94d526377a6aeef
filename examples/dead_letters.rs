//! What a service could not handle: looked at, put back, thrown away.
//!
//! ```text
//! cargo run -p replybus-examples --example dead_letters
//! ```
//!
//! In one process; with the feature `servers`, and `AMQP_URL` and `REDIS_URL` set, over these. With
//! arguments it is a tool for any queue on that broker:
//!
//! ```text
//! cargo run -p replybus-examples -F servers --example dead_letters -- list account.requests
//! cargo run -p replybus-examples -F servers --example dead_letters -- redrive account.requests
//! cargo run -p replybus-examples -F servers --example dead_letters -- purge account.requests
//! ```

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use replybus::{
    Bus,
    dead_letters::{DeadLetter, DeadLetterQueue},
    queue_handler,
};
use replybus_examples::anywhere::Anywhere;
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

const QUEUE: &str = "examples.shop.requests";

#[queue_handler("examples.shop.requests")]
trait Shop {
    async fn order(&self, article: String, count: u64) -> Result<(), Refused>;
}

#[derive(Debug, Serialize, Deserialize)]
enum Refused {
    NoSuchArticle,
}

/// Panics until somebody repairs it.
#[derive(Clone, Default)]
struct Till {
    repaired: Arc<AtomicBool>,
    sold: Arc<AtomicU64>,
}

impl Shop for Till {
    async fn order(&self, article: String, count: u64) -> Result<(), Refused> {
        if article == "unicorn" {
            return Err(Refused::NoSuchArticle);
        }
        assert!(self.repaired.load(Ordering::SeqCst), "out of paper");
        self.sold.fetch_add(count, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The panics below are meant; their traces are not the point.
    std::panic::set_hook(Box::new(|_| {}));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => show().await,
        [verb, queue] => tool::run(verb, queue).await,
        _ => anyhow::bail!("list, redrive or purge, and a queue"),
    }
}

async fn show() -> anyhow::Result<()> {
    let anywhere = Anywhere::open().await?;
    let (bus, till) = (&anywhere.bus, Till::default());
    let serving = bus.serve(ShopServer::new(till.clone())).await?;
    let shop = ShopClient::new(bus);
    for (number, article) in ["tea", "jam", "unicorn", "tea"].into_iter().enumerate() {
        // One-way: nobody waits, so somebody has to learn of it if it fails.
        let order = shop.order(article.to_owned(), 1);
        let order = order.idempotency_key(format!("order-{number}"));
        order.send().await?;
    }
    wait_for(bus, 4).await?;

    let letters = bus.dead_letters(QUEUE);
    list(&letters).await?;

    // The till was repaired. What panicked may have been half done; under its key it is not done
    // twice if it was done.
    till.repaired.store(true, Ordering::SeqCst);
    let redrive = letters.redrive(|letter| letter.reason() == "panicked");
    let outcome = redrive
        .on_progress(|progress| println!("{} of {}", progress.seen, progress.total))
        .await?;
    println!("{} are put back", outcome.redriven);
    assert_eq!(outcome.redriven, 3);
    while till.sold.load(Ordering::SeqCst) < 3 {
        sleep(Duration::from_millis(5)).await;
    }

    // Nobody will ever sell a unicorn.
    wait_for(bus, 1).await?;
    let purged = letters.purge(|letter| letter.reason() == "handler").await?;
    println!("{purged} is thrown away");
    assert_eq!(letters.list(0..1).await?.total, 0);

    serving.shutdown().await?;
    anywhere.close(&[QUEUE]).await
}

/// Waits until so many letters are there.
async fn wait_for(bus: &Bus, letters: u64) -> anyhow::Result<()> {
    let queue = format!("{QUEUE}.dead");
    while bus.inspect(&queue).await?.map(|queue| queue.waiting) != Some(letters) {
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Prints the oldest letters.
async fn list(letters: &DeadLetterQueue) -> anyhow::Result<()> {
    let page = letters.list(0..100).await?;
    println!("{} of {} letters:", page.letters.len(), page.total);
    for letter in &page.letters {
        println!("  {}", line(letter));
    }
    Ok(())
}

/// A letter in a line, with its arguments: they are data of your customers.
fn line(letter: &DeadLetter) -> String {
    let arguments = letter.arguments().unwrap_or(serde_json::Value::Null);
    let (name, reason, error) = (letter.name(), letter.reason(), letter.error());
    let id = letter.id().unwrap_or("no id");
    let caller = letter.caller().unwrap_or("nobody");
    match letter.malformed() {
        Some(why) => format!("{id}: can't be read: {why}"),
        None => format!("{id}: {name} {arguments} of {caller}: {reason}: {error}"),
    }
}

/// The three verbs for any queue.
#[cfg(feature = "servers")]
mod tool {
    use super::list;
    use replybus::{Amqp, Bus, dead_letters::NotRedriven, reply::memory::MemoryReplies};
    use replybus_examples::servers::amqp_url;

    pub(super) async fn run(verb: &str, queue: &str) -> anyhow::Result<()> {
        // It calls nobody, so replies may go nowhere.
        let bus = Bus::connect(Amqp::new(amqp_url()), MemoryReplies::new()).await?;
        let letters = bus.dead_letters(queue);
        match verb {
            "list" => list(&letters).await?,
            "redrive" => {
                let outcome = letters.redrive(|_| true).await?;
                println!("{} are put back, {} stay", outcome.redriven, outcome.stayed);
                if let Some(why) = outcome.why_stayed {
                    let hint = match why {
                        NotRedriven::Forgotten => "; look at them, then use may_run_twice()",
                        _ => "",
                    };
                    println!("the first of them because {why}{hint}");
                }
            }
            "purge" => println!("{} are gone", letters.purge(|_| true).await?),
            _ => anyhow::bail!("{verb}: list, redrive and purge are known"),
        }
        Ok(())
    }
}

#[cfg(not(feature = "servers"))]
mod tool {
    pub(super) async fn run(_: &str, _: &str) -> anyhow::Result<()> {
        anyhow::bail!("build it with -F servers to look at a queue on RabbitMQ")
    }
}
