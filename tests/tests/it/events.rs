//! Events over RabbitMQ and Redis, from one program to others.

use replybus::{Amqp, Bus, CallId, Event, event::EmitError, server::Serving};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    leftovers::Leftovers,
    live::{rabbitmq, redis, unique},
    wait::bounded,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

#[derive(Event, Serialize, Deserialize)]
#[event("order.placed")]
struct OrderPlaced {
    order: u32,
}

/// Which group was given which order.
type Given = (&'static str, u32);

struct Rig {
    amqp: String,
    redis: String,
    namespace: String,
}

impl Rig {
    async fn new() -> Option<Self> {
        Some(Self {
            amqp: rabbitmq().await?,
            redis: redis().await?,
            namespace: unique("events"),
        })
    }

    /// A program on this broker.
    async fn bus(&self) -> Bus {
        Bus::builder()
            .namespace(&self.namespace)
            .connect(Amqp::new(&self.amqp), RedisReplies::new(&self.redis))
            .await
            .unwrap()
    }

    /// Deletes the queues of these groups and the exchange.
    async fn clean_up(&self, groups: &[&str]) {
        let left = Leftovers::of(&self.namespace).queues(groups.iter().copied());
        let left = left.exchanges([OrderPlaced::EXCHANGE]);
        left.delete(&self.amqp).await.unwrap();
    }
}

async fn member(bus: &Bus, group: &'static str, given: &UnboundedSender<Given>) -> Serving {
    let given = given.clone();
    let handler = move |event: OrderPlaced| {
        let _ = given.send((group, event.order));
        std::future::ready(())
    };
    bus.subscribe(group, handler).await.unwrap()
}

async fn collect(given: &mut UnboundedReceiver<Given>, count: usize) -> Vec<Given> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(bounded(given.recv()).await.unwrap());
    }
    all.sort_unstable();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn each_group_gets_each_event_once_though_it_is_emitted_twice() {
    let Some(rig) = Rig::new().await else { return };
    let (tell, mut given) = unbounded_channel();
    let (emitter, first, second) = (rig.bus().await, rig.bus().await, rig.bus().await);
    let serving = [
        member(&first, "audit", &tell).await,
        member(&second, "audit", &tell).await,
        member(&second, "notify", &tell).await,
    ];

    let mut ids = Vec::new();
    for order in 0..40 {
        ids.push(emitter.emit(&OrderPlaced { order }).await.unwrap());
    }
    // As an outbox may, when it does not know what became of the first.
    for (order, id) in (0..40).zip(&ids) {
        assert_eq!(
            emitter.emit(&OrderPlaced { order }).id(*id).await.unwrap(),
            *id
        );
    }
    assert_eq!(
        ids.iter()
            .map(CallId::to_string)
            .collect::<BTreeSet<_>>()
            .len(),
        40
    );
    let both = ["audit", "notify"];
    let expected: Vec<Given> = both
        .into_iter()
        .flat_map(|group| (0..40).map(move |order| (group, order)))
        .collect();
    assert_eq!(collect(&mut given, 80).await, expected);

    // What had been delivered is handled before a shutdown returns.
    for serving in serving {
        serving.shutdown().await.unwrap();
    }
    assert!(given.try_recv().is_err(), "an event was handled twice");
    rig.clean_up(&both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_wait_for_a_group_that_is_away_and_are_told_apart_from_those_for_nobody() {
    let Some(rig) = Rig::new().await else { return };
    let (tell, mut given) = unbounded_channel();
    let emitter = rig.bus().await;
    let unheard = emitter
        .emit(&OrderPlaced { order: 0 })
        .mandatory()
        .await
        .unwrap_err();
    assert!(
        matches!(unheard, EmitError::NoSubscriber { .. }),
        "{unheard}"
    );

    let consumer = rig.bus().await;
    member(&consumer, "audit", &tell)
        .await
        .shutdown()
        .await
        .unwrap();
    for order in 1..=5 {
        emitter
            .emit(&OrderPlaced { order })
            .mandatory()
            .await
            .unwrap();
    }
    let serving = member(&consumer, "audit", &tell).await;
    let expected: Vec<Given> = (1..=5).map(|order| ("audit", order)).collect();
    assert_eq!(collect(&mut given, 5).await, expected);
    serving.shutdown().await.unwrap();
    rig.clean_up(&["audit"]).await;
}
