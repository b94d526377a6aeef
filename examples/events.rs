//! Events: emitted once, delivered to every group, handled by one member of each.
//!
//! ```text
//! cargo run -p replybus-examples --example events
//! ```

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::Context;
use replybus::{Bus, Event, event::SubscribeHandler};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{
        Barrier,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    time::timeout,
};

#[derive(Event, Serialize, Deserialize)]
#[event("order.placed")]
struct OrderPlaced {
    order: u32,
}

/// Who did what with which order.
type Done = (&'static str, u32);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bus = Bus::in_memory();
    let (done, mut log) = unbounded_channel::<Done>();

    // Two members of one group. Packing takes both of them, each with an order of its own: neither
    // gets further unless the group's orders are shared out.
    let both = Arc::new(Barrier::new(2));
    let ada = packer("Ada packs", &both, &done);
    let ada = bus.subscribe("shipping", ada).concurrency(1).await?;
    let bob = packer("Bob packs", &both, &done);
    let bob = bus.subscribe("shipping", bob).concurrency(1).await?;
    // Another group gets every order as well.
    let carol = bus
        .subscribe("invoicing", biller(&done))
        .concurrency(1)
        .await?;

    let mut ids = Vec::new();
    for order in 1..=4 {
        ids.push(bus.emit(&OrderPlaced { order }).await?);
    }
    let mut seen = collect(&mut log, 8).await?;

    println!(
        "the first four are emitted again under the same ids, as an outbox may, then two more"
    );
    for (order, id) in (1..=4).zip(ids) {
        bus.emit(&OrderPlaced { order }).id(id).await?;
    }
    for order in 5..=6 {
        bus.emit(&OrderPlaced { order }).await?;
    }
    seen.extend(collect(&mut log, 4).await?);
    for subscription in [ada, bob, carol] {
        subscription.shutdown().await?;
    }
    assert!(log.try_recv().is_err(), "nothing was handled twice");

    let by = |who: &str| -> Vec<u32> {
        let orders = seen.iter().filter(|done| done.0 == who).map(|done| done.1);
        let mut orders: Vec<_> = orders.collect();
        orders.sort_unstable();
        orders
    };
    let all = [1, 2, 3, 4, 5, 6];
    assert_eq!(
        by("Carol bills"),
        all,
        "each order once, the failed one too"
    );
    let (ada, bob) = (by("Ada packs"), by("Bob packs"));
    println!("Ada packed {ada:?}, Bob packed {bob:?}, Carol billed them all");
    assert_eq!(
        (ada.len(), bob.len()),
        (3, 3),
        "the group shares its orders"
    );
    let packed = ada.iter().chain(&bob).collect::<BTreeSet<_>>();
    assert_eq!(packed.len(), 6, "each order once");
    assert_eq!(by("Carol bills"), [1, 2, 3, 4, 5, 6], "the failed one, too");
    Ok(())
}

/// A handler of events is any async closure or function of the event.
fn packer(
    name: &'static str,
    both: &Arc<Barrier>,
    done: &UnboundedSender<Done>,
) -> impl SubscribeHandler<OrderPlaced> {
    let (both, done) = (Arc::clone(both), done.clone());
    move |event: OrderPlaced| {
        let (both, done) = (Arc::clone(&both), done.clone());
        async move {
            both.wait().await;
            let _ = done.send((name, event.order));
        }
    }
}

/// One that returns an error runs again, after a pause.
fn biller(done: &UnboundedSender<Done>) -> impl SubscribeHandler<OrderPlaced> {
    let (done, failed) = (done.clone(), Arc::new(AtomicBool::new(false)));
    move |event: OrderPlaced| {
        let (done, failed) = (done.clone(), Arc::clone(&failed));
        async move {
            if !failed.swap(true, Ordering::SeqCst) {
                println!("Carol has no paper for order {}", event.order);
                return Err("no paper");
            }
            let _ = done.send(("Carol bills", event.order));
            Ok(())
        }
    }
}

async fn collect(log: &mut UnboundedReceiver<Done>, count: usize) -> anyhow::Result<Vec<Done>> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let done = timeout(Duration::from_secs(10), log.recv()).await;
        let done = done
            .context("an order is stuck")?
            .context("no handler is left")?;
        println!("{} order {}", done.0, done.1);
        seen.push(done);
    }
    Ok(seen)
}
