//! Answers that are kept for all who ask: a product page that is asked for all the time, and a name
//! that changes now and then.
//!
//! ```text
//! cargo run -p replybus-examples --example cache
//! ```
//!
//! In one process; with the feature `servers`, and `AMQP_URL` and `REDIS_URL` set, over these.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::{Context as _, ensure};
use replybus::{Never, client::CacheStatus, queue_handler};
use replybus_examples::anywhere::Anywhere;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::sleep};

const QUEUES: [&str; 1] = ["product.requests"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Product {
    id: u32,
    name: String,
}

#[queue_handler("product.requests")]
trait Products {
    /// One product; `None` if there is none.
    #[query(cache = "300s", tags("product:{id}"))]
    async fn product(&self, id: u32) -> Result<Option<Product>, Never>;

    /// What it costs this kind of customer, which is another answer for each.
    #[query(cache = "300s", tags("product:{id}"), vary("customer-kind"))]
    async fn price(&self, id: u32) -> Result<u32, Never>;

    /// How often the shelf was looked at, which nobody keeps.
    #[query]
    async fn looks(&self) -> Result<u32, Never>;

    /// Gives a product a name.
    #[invalidates("product:{id}")]
    async fn rename(&self, id: u32, name: String) -> Result<(), Never>;
}

/// A shelf that takes its time.
#[derive(Default)]
struct Shelf {
    names: Mutex<BTreeMap<u32, String>>,
    looks: AtomicU32,
}

impl Products for Shelf {
    async fn product(&self, id: u32) -> Result<Option<Product>, Never> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_millis(50)).await;
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let name = names.get(&id).cloned();
        Ok(name.map(|name| Product { id, name }))
    }

    async fn price(&self, id: u32) -> Result<u32, Never> {
        let context = replybus::Context::current();
        let is_trade = context.metadata().get("customer-kind") == Some("trade");
        Ok(if is_trade { id * 80 } else { id * 100 })
    }

    async fn looks(&self) -> Result<u32, Never> {
        Ok(self.looks.load(Ordering::SeqCst))
    }

    async fn rename(&self, id: u32, name: String) -> Result<(), Never> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(id, name);
        Ok(())
    }
}

/// A page as a gateway would send it, with a header that says where it came from.
async fn page(products: &ProductsClient, id: u32) -> anyhow::Result<(String, CacheStatus)> {
    let (product, status) = products.product(id).with_cache_status().await?;
    let name = product.context("no such product")?.name;
    let status = status.context("a method with kept answers")?;
    println!("  {name:<8} x-cache: {status}");
    Ok((name, status))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let anywhere = Anywhere::open().await?;
    let bus = &anywhere.bus;
    let serving = bus.serve(ProductsServer::new(Shelf::default())).await?;
    let products = ProductsClient::new(bus);
    products.rename(7, "pen".to_owned()).await?;

    println!("a page, and again:");
    ensure!(page(&products, 7).await? == ("pen".to_owned(), CacheStatus::Miss));
    ensure!(page(&products, 7).await? == ("pen".to_owned(), CacheStatus::Hit));

    println!("a command says that it is not true any more:");
    products.rename(7, "quill".to_owned()).await?;
    ensure!(page(&products, 7).await? == ("quill".to_owned(), CacheStatus::Miss));

    println!("a hundred who ask at once for what nobody has asked for:");
    products.rename(8, "ink".to_owned()).await?;
    let before = products.looks().await?;
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        calls.spawn(products.product(8).into_future());
    }
    for product in calls.join_all().await {
        ensure!(product?.is_some_and(|product| product.name == "ink"));
    }
    let looks = products.looks().await? - before;
    println!("  the shelf was looked at {looks} time");
    ensure!(looks == 1);

    println!("a price for each kind of customer:");
    for (kind, expected) in [("trade", 560), ("private", 700), ("trade", 560)] {
        let price = products.price(7).metadata("customer-kind", kind);
        let (price, status) = price.with_cache_status().await?;
        let status = status.context("a method with kept answers")?;
        println!("  {kind:<8} {price} x-cache: {status}");
        ensure!(price == expected);
    }

    println!("who wants to be sure:");
    let (product, status) = products.product(7).uncached().with_cache_status().await?;
    ensure!(product.is_some_and(|product| product.name == "quill"));
    ensure!(status == Some(CacheStatus::Refreshed));

    serving.shutdown().await?;
    anywhere.close(&QUEUES).await
}
