//! A worker is shut down under load: it finishes what it can, gives back what it can't, and a
//! second one takes that over. Callers notice nothing but time.
//!
//! ```text
//! cargo run -p replybus-examples --example graceful_shutdown
//! ```

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use replybus::{Bus, Never, queue_handler};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

#[queue_handler("kitchen.requests", timeout = "20s")]
trait Kitchen {
    /// Prepares a dish for a while; returns the cook.
    #[query]
    async fn prepare(&self, takes: Duration) -> Result<String, Never>;

    /// Lays one table, which takes until the plates are there; returns how many are laid.
    async fn lay(&self) -> Result<u32, Never>;
}

#[derive(Clone)]
struct Cook {
    name: &'static str,
    at_work: Arc<Semaphore>,
    plates: Arc<Semaphore>,
    laid: Arc<AtomicU32>,
}

impl Kitchen for Cook {
    async fn prepare(&self, takes: Duration) -> Result<String, Never> {
        self.at_work.add_permits(1);
        sleep(takes).await;
        Ok(self.name.to_owned())
    }

    async fn lay(&self) -> Result<u32, Never> {
        self.at_work.add_permits(1);
        if let Ok(plate) = self.plates.acquire().await {
            plate.forget();
        }
        Ok(self.laid.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bus = Bus::in_memory();
    let kitchen = KitchenClient::new(&bus);
    let ada = Cook {
        name: "Ada",
        at_work: Arc::new(Semaphore::new(0)),
        plates: Arc::new(Semaphore::new(0)),
        laid: Arc::default(),
    };
    let bob = Cook {
        name: "Bob",
        ..ada.clone()
    };

    println!("within the time to drain:");
    let serving = bus
        .serve(KitchenServer::new(ada.clone()))
        .concurrency(4)
        .await?;
    let mut dishes = JoinSet::new();
    for _ in 0..40 {
        dishes.spawn(kitchen.prepare(Duration::from_millis(50)).into_future());
    }
    ada.at_work.acquire_many(8).await?.forget();
    let drained = serving.shutdown().await?;
    assert_eq!(drained.given_back, 0, "what had been started was finished");
    println!(
        "  Ada is gone, {} deliveries given back",
        drained.given_back
    );

    let serving = bus
        .serve(KitchenServer::new(bob.clone()))
        .concurrency(4)
        .await?;
    let mut cooks = Vec::new();
    while let Some(dish) = dishes.join_next().await {
        cooks.push(dish??);
    }
    let by_ada = cooks.iter().filter(|cook| *cook == "Ada").count();
    println!(
        "  {} dishes: {by_ada} by Ada, {} by Bob",
        cooks.len(),
        cooks.len() - by_ada
    );
    assert!(
        cooks.len() == 40 && (8..40).contains(&by_ada),
        "nothing is lost"
    );
    serving.shutdown().await?;

    println!("when the time to drain is up:");
    let hurried = bus
        .serve(KitchenServer::new(ada.clone()))
        .drain_within(Duration::from_millis(50))
        .await?;
    ada.at_work.forget_permits(usize::MAX);
    let dish = tokio::spawn(kitchen.prepare(Duration::from_secs(1)).into_future());
    let table = tokio::spawn(kitchen.lay().into_future());
    ada.at_work.acquire_many(2).await?.forget();
    let drained = hurried.shutdown().await?;
    println!(
        "  Ada is gone, {} deliveries given back",
        drained.given_back
    );
    assert_eq!(drained.given_back, 2);

    let serving = bus.serve(KitchenServer::new(bob)).await?;
    let cook = dish.await??;
    println!("  the dish was stopped and made again, by {cook}");
    assert_eq!(cook, "Bob");
    // A command is not stopped half way. It ends in the background, and the second delivery waits
    // for its outcome instead of running it again.
    ada.plates.add_permits(1);
    let laid = table.await??;
    println!("  {laid} table is laid, though it was delivered twice");
    assert_eq!(laid, 1);
    assert_eq!(ada.laid.load(Ordering::SeqCst), 1);

    assert_eq!(serving.shutdown().await?.given_back, 0);
    Ok(())
}
