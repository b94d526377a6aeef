//! A service to look at, in a namespace of its own.

use crate::program::{self, Ran};
use replybus::{
    Amqp, Bus, BusBuilder, Context, Never, flight::FlightRecord, queue_handler, stream::Items,
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::{rabbitmq, redis, require_or_skip, unique},
    servers::PrivateRabbit,
    wait::eventually,
};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

pub(crate) const QUEUE: &str = "shop.requests";

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Refusal {
    NoSuchArticle(String),
}

#[queue_handler("shop.requests")]
pub(crate) trait Shop {
    #[query]
    async fn price(&self, article: String) -> Result<u64, Refusal>;
    async fn order(&self, article: String, pieces: u32) -> Result<u32, Refusal>;
    #[query]
    async fn language(&self) -> Result<Option<String>, Never>;
    #[query]
    async fn forever(&self) -> Result<u32, Never>;
    #[stream]
    async fn count_to(&self, last: u32) -> Result<Items<u32, Never>, Never>;
    #[command(job = "1h")]
    async fn stocktaking(&self) -> Result<u32, Never>;
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Counter {
    pub(crate) orders: Arc<AtomicU32>,
    /// Orders panic.
    pub(crate) broken: Arc<AtomicBool>,
    /// Queries that never end, begun and dropped.
    pub(crate) begun: Arc<AtomicU32>,
    pub(crate) dropped: Arc<AtomicU32>,
    /// The job may end.
    pub(crate) may_end: Arc<AtomicBool>,
    /// The job knows that it is cancelled.
    pub(crate) cancelled: Arc<AtomicBool>,
}

struct Dropped(Arc<AtomicU32>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Shop for Counter {
    async fn price(&self, article: String) -> Result<u64, Refusal> {
        match article.as_str() {
            "tea" => Ok(450),
            _ => Err(Refusal::NoSuchArticle(article)),
        }
    }

    async fn order(&self, article: String, pieces: u32) -> Result<u32, Refusal> {
        assert!(
            !self.broken.load(Ordering::SeqCst),
            "no {article}, and {pieces} of it"
        );
        Ok(self.orders.fetch_add(1, Ordering::SeqCst) + 1)
    }

    async fn language(&self) -> Result<Option<String>, Never> {
        let context = Context::current();
        Ok(context.metadata().get("language").map(str::to_owned))
    }

    async fn forever(&self) -> Result<u32, Never> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let _dropped = Dropped(Arc::clone(&self.dropped));
        std::future::pending().await
    }

    async fn count_to(&self, last: u32) -> Result<Items<u32, Never>, Never> {
        Ok(Items::new(futures_util::stream::iter((1..=last).map(Ok))))
    }

    async fn stocktaking(&self) -> Result<u32, Never> {
        Context::current().progress(1, 2, "shelves");
        while !self.may_end.load(Ordering::SeqCst) {
            let is_cancelled = Context::current().is_cancelled();
            self.cancelled.fetch_or(is_cancelled, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(2)
    }
}

/// Servers that are shared, and a namespace that is not.
pub(crate) struct Site {
    amqp: String,
    redis: String,
    pub(crate) namespace: String,
    pub(crate) bus: Bus,
    /// If it is not shared.
    broker: Option<PrivateRabbit>,
}

impl Site {
    pub(crate) async fn open(name: &str) -> Option<Self> {
        let builder = Bus::builder();
        Some(Self::on(name, rabbitmq().await?, None, redis().await?, builder).await)
    }

    /// The same, which records what becomes of calls.
    pub(crate) async fn recording(name: &str, record: FlightRecord) -> Option<Self> {
        let builder = Bus::builder().flight_record(record);
        Some(Self::on(name, rabbitmq().await?, None, redis().await?, builder).await)
    }

    /// The same, on this Redis.
    pub(crate) async fn on_redis(name: &str, redis: String) -> Option<Self> {
        Some(Self::on(name, rabbitmq().await?, None, redis, Bus::builder()).await)
    }

    /// The same, with a broker of its own, which ends with it.
    pub(crate) async fn open_private(name: &str) -> Option<Self> {
        let redis = redis().await?;
        let broker = require_or_skip(PrivateRabbit::start().await)?;
        let builder = Bus::builder();
        Some(Self::on(name, broker.url(), Some(broker), redis, builder).await)
    }

    async fn on(
        name: &str,
        amqp: String,
        broker: Option<PrivateRabbit>,
        redis: String,
        builder: BusBuilder,
    ) -> Self {
        let namespace = unique(name);
        let bus = builder.namespace(&namespace);
        let bus = bus.connect(Amqp::new(&amqp), RedisReplies::new(&redis));
        let bus = bus.await.unwrap();
        Self {
            amqp,
            redis,
            namespace,
            bus,
            broker,
        }
    }

    pub(crate) fn environment(&self) -> [(&str, &str); 3] {
        [
            ("AMQP_URL", &self.amqp),
            ("REDIS_URL", &self.redis),
            ("BUS_NAMESPACE", &self.namespace),
        ]
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        program::run(&self.environment(), arguments, "").await
    }

    /// Waits until so many letters are kept.
    pub(crate) async fn letters(&self, letters: u64) {
        eventually(&format!("{letters} letters are kept"), || async {
            let dead = self.bus.inspect("shop.requests.dead").await.unwrap();
            dead.is_some_and(|queue| queue.waiting == letters)
        })
        .await;
    }

    /// Closes the bus and removes what it left on the broker.
    pub(crate) async fn close(self) {
        self.bus.close(Duration::from_secs(5)).await;
        if self.broker.is_some() {
            return;
        }
        let transport = Amqp::new(&self.amqp).connect().await.unwrap();
        for queue in [QUEUE, "shop.requests.dead"] {
            let queue = format!("{}.{queue}", self.namespace);
            transport.remove(&queue, &[], true).await.unwrap();
        }
        transport.close(Duration::from_secs(5)).await;
    }
}
