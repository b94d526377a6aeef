//! Shops for tests: embedded, and on real servers with each service on a bus of its own, as in a
//! process of its own.

use crate::client::Client;
use chassis::{Running, settings::Secret};
use clap::ValueEnum as _;
use replybus_testkit::{leftovers::Leftovers, live};
use shop::{Keys, Platform, ServiceName, Settings, Shop, contracts};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use town::database::on_postgres;

/// Settings of a shop that listens wherever there is place.
pub(crate) fn settings() -> Settings {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    Settings {
        user_addr: anywhere,
        product_addr: anywhere,
        order_addr: anywhere,
        notification_addr: anywhere,
        ..Settings::default()
    }
}

/// Runs a test on a shop in this process.
pub(crate) async fn embedded(settings: Settings, test: impl AsyncFnOnce(Client)) {
    let platform = Platform::connect(settings).await.unwrap();
    let shop = Shop::start(&platform, ServiceName::value_variants())
        .await
        .unwrap();
    test(Client::new(shop.addresses.clone())).await;
    shop.running.stop().await;
}

/// A shop of which each service is started and stopped by itself.
pub(crate) struct Stage {
    pub(crate) platform: Platform,
    pub(crate) database: String,
    pub(crate) client: Client,
}

impl Stage {
    pub(crate) async fn new(database: &str) -> Self {
        let mut settings = settings();
        settings.database_url = Secret::new(database.to_owned());
        Self {
            platform: Platform::connect(settings).await.unwrap(),
            database: database.to_owned(),
            client: Client::new(Default::default()),
        }
    }

    pub(crate) async fn start(&mut self, name: ServiceName) -> Running {
        let shop = Shop::start(&self.platform, &[name]).await.unwrap();
        self.client.addresses.extend(shop.addresses);
        shop.running
    }
}

/// Runs a test on a shop on RabbitMQ, Redis and PostgreSQL, if they are there.
pub(crate) async fn on_servers(test: impl AsyncFnOnce(Client)) {
    let (Some(amqp), Some(redis)) = (live::rabbitmq().await, live::redis().await) else {
        return;
    };
    on_postgres(async |database| {
        let namespace = live::unique("shop");
        let keys = std::env::temp_dir().join(&namespace);
        Keys::write_new(&keys).unwrap();
        let settings = Settings {
            amqp_url: Some(Secret::new(amqp.clone())),
            redis_url: Some(Secret::new(redis.clone())),
            database_url: Secret::new(database.to_owned()),
            keys_dir: Some(keys.clone()),
            namespace: namespace.clone(),
            ..settings()
        };
        let (mut services, mut addresses) = (Vec::new(), BTreeMap::new());
        for name in ServiceName::value_variants() {
            settings.check(&[*name]).unwrap();
            let platform = Platform::connect(settings.clone()).await.unwrap();
            let shop = Shop::start(&platform, &[*name]).await.unwrap();
            addresses.extend(shop.addresses);
            services.push((platform, shop.running));
        }
        test(Client::new(addresses)).await;
        for (platform, running) in services.into_iter().rev() {
            running.stop().await;
            platform.bus.close(Duration::from_secs(5)).await;
        }
        std::fs::remove_dir_all(keys).unwrap();
        remove_queues(&amqp, &namespace).await;
    })
    .await;
}

/// Removes what a shop leaves on RabbitMQ; what it leaves in Redis expires.
async fn remove_queues(amqp: &str, namespace: &str) {
    let left = Leftovers::of(namespace).queues([
        "user.requests",
        "product.requests",
        "notification.requests",
        contracts::ORDER_NOTIFICATIONS,
        contracts::DASHBOARD_ARTICLES,
        contracts::DASHBOARD_PRODUCTS,
    ]);
    let left = left.exchanges(["order_events", "article_events", "product_events"]);
    left.delete(amqp).await.unwrap();
}
