//! Calls in the order of their keys: three members share sixteen partitions, one comes and one goes
//! while amounts are posted, and each account sees its own in order.
//!
//! ```text
//! cargo run -p replybus-examples --example partitions
//! ```
//!
//! In one process; with the feature `servers`, and `AMQP_URL` and `REDIS_URL` set, over these.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::ensure;
use replybus::{Bus, Never, join, queue_handler, server::Serving};
use replybus_examples::anywhere::Anywhere;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

const ACCOUNTS: u32 = 20;

#[queue_handler("postings.requests", partitions = 16, timeout = "30s")]
trait Postings {
    /// Posts the entry of this number.
    async fn post(&self, #[key] account: u32, entry: u32) -> Result<(), Never>;

    /// The entries of an account, in the order in which they were posted.
    #[query]
    async fn entries(&self, #[key] account: u32) -> Result<Vec<u32>, Never>;
}

/// What a database would hold: all members write to it.
#[derive(Default)]
struct Books {
    entries: BTreeMap<u32, Vec<u32>>,
    members: BTreeSet<&'static str>,
}

struct Member {
    name: &'static str,
    books: Arc<Mutex<Books>>,
}

impl Postings for Member {
    async fn post(&self, account: u32, entry: u32) -> Result<(), Never> {
        // Some take longer than those that come after them.
        sleep(Duration::from_millis(u64::from(entry * 7 % 5))).await;
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.entries.entry(account).or_default().push(entry);
        books.members.insert(self.name);
        Ok(())
    }

    async fn entries(&self, account: u32) -> Result<Vec<u32>, Never> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.members.insert(self.name);
        Ok(books.entries.get(&account).cloned().unwrap_or_default())
    }
}

async fn serve(
    bus: &Bus,
    books: &Arc<Mutex<Books>>,
    name: &'static str,
) -> anyhow::Result<Serving> {
    let books = Arc::clone(books);
    Ok(bus
        .serve(PostingsServer::new(Member { name, books }))
        .await?)
}

fn took_part(books: &Mutex<Books>, name: &str) -> bool {
    let books = books.lock().unwrap_or_else(PoisonError::into_inner);
    books.members.contains(name)
}

/// Posts entries of all accounts: each when the broker has the one before it.
async fn post(postings: &PostingsClient, entries: std::ops::Range<u32>) -> anyhow::Result<()> {
    for entry in entries {
        for account in 0..ACCOUNTS {
            postings.post(account, entry).send().await?;
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let anywhere = Anywhere::open().await?;
    let bus = &anywhere.bus;
    let books = Arc::<Mutex<Books>>::default();
    let (first, second) = (
        serve(bus, &books, "first").await?,
        serve(bus, &books, "second").await?,
    );
    let postings = PostingsClient::new(bus);
    post(&postings, 0..10).await?;
    println!("a third member comes, and takes its part of the partitions");
    let third = serve(bus, &books, "third").await?;
    // Who was there learns of it within seconds. It has none of these accounts once in a hundred runs.
    for _ in 0..100 {
        join((0..ACCOUNTS).map(|account| postings.entries(account))).await;
        if took_part(&books, "third") {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    post(&postings, 10..20).await?;
    println!("the first goes: it ends what it has, and others go on");
    first.shutdown().await?;
    post(&postings, 20..30).await?;

    // A query of a key comes after all that was sent before it.
    let entries = join((0..ACCOUNTS).map(|account| postings.entries(account))).await;
    for (account, entries) in entries.into_iter().enumerate() {
        let entries = entries?;
        ensure!(entries.iter().copied().eq(0..30), "{account}: {entries:?}");
    }
    let members = books
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .members
        .clone();
    println!("{ACCOUNTS} accounts have their 30 entries in order, by {members:?}");
    second.shutdown().await?;
    third.shutdown().await?;
    let queues: Vec<_> = PostingsClient::CONTRACT.queues().collect();
    let name = PostingsClient::CONTRACT.queue;
    let queues: Vec<_> = queues.iter().map(String::as_str).chain([name]).collect();
    anywhere.close(&queues).await
}
