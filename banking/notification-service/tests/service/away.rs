//! The database is away for a while.

use crate::stage::{Replica, party, transfer};
use chassis::{
    keys::Keys,
    settings::{PlatformSettings, Secret},
};
use contracts::{
    Refused, TransactionCompleted,
    notification::{GROUP, NotificationError, NotificationsClient},
};
use replybus::{CallError, Event as _};
use replybus_testkit::{
    leftovers::Leftovers,
    live::{self, unique},
    proxy::{Mode, Proxy},
};
use sqlx::{Connection as _, SqliteConnection};
use std::time::Duration;
use town::{
    database::{on_postgres, on_sqlite},
    wait::eventually,
};

/// PostgreSQL behind a proxy.
async fn behind_proxy(url: &str) -> (Proxy, String) {
    let (proxy, url) = Proxy::before(url, 5432).await.unwrap();
    (proxy, url.into())
}

/// Asks until the service says that it can't reach what it needs.
async fn until_unavailable(replica: &Replica) {
    let (name, pass) = replica.admin_pass();
    eventually("it is not available", async || {
        let asked = replica.client.admin_total().metadata(name, pass.as_str());
        let answer = asked.timeout(Duration::from_secs(20)).await;
        matches!(
            answer,
            Err(CallError::Handler(NotificationError::Refused(
                Refused::Unavailable
            )))
        )
        .then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_event_waits_for_postgres_to_come_back() {
    on_postgres(async |url| {
        let (proxy, url) = behind_proxy(url).await;
        let replica = Replica::start(PlatformSettings::with_database(&url)).await;
        let (alice, bob) = (party("alice"), party("bob"));
        proxy.set(Mode::Refuse);
        replica.emit(&transfer(&alice, &bob, 70)).await;
        until_unavailable(&replica).await;
        proxy.set(Mode::Pass);
        replica.until_listed(&alice, 1).await;
        let listed = replica.until_listed(&bob, 1).await;
        assert_eq!(listed[0].message, "You received 0.70 from alice");
        assert_eq!(replica.total().await, 2);
        replica.running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_event_waits_for_a_sqlite_that_is_locked() {
    on_sqlite(async |url| {
        let replica = Replica::start(PlatformSettings::with_database(url)).await;
        let file = format!("{url}/notification.db");
        let mut other = SqliteConnection::connect(&file).await.unwrap();
        let writing = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let (alice, bob) = (party("alice"), party("bob"));
        replica.emit(&transfer(&alice, &bob, 70)).await;
        // The event holds the one connection while it waits for the lock.
        until_unavailable(&replica).await;
        writing.rollback().await.unwrap();
        replica.until_listed(&bob, 1).await;
        assert_eq!(replica.total().await, 2);
        replica.running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_answer_does_not_wait_for_a_database_that_is_away() {
    on_postgres(async |url| {
        let (proxy, url) = behind_proxy(url).await;
        let replica = Replica::start(PlatformSettings::with_database(&url)).await;
        proxy.set(Mode::Refuse);
        // Within the time that callers give it by default.
        let (name, pass) = replica.admin_pass();
        let asked = replica.client.admin_total().metadata(name, pass.as_str());
        assert!(matches!(
            asked.await,
            Err(CallError::Handler(NotificationError::Refused(
                Refused::Unavailable
            )))
        ));
        proxy.set(Mode::Pass);
        replica.running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_event_whose_replica_stops_is_stored_by_another() {
    let (Some(amqp), Some(redis)) = (live::rabbitmq().await, live::redis().await) else {
        return;
    };
    on_postgres(async |url| {
        let namespace = unique("away");
        // One bank: what one program signs, the others believe.
        let keys = std::env::temp_dir().join(&namespace);
        Keys::write_new(&keys).unwrap();
        let on_servers = |url: &str| {
            let mut settings = PlatformSettings::with_database(url);
            settings.amqp_url = Some(Secret::new(amqp.clone()));
            settings.redis_url = Some(Secret::new(redis.clone()));
            settings.namespace.clone_from(&namespace);
            settings.keys_dir = Some(keys.clone());
            settings
        };
        let (proxy, through_proxy) = behind_proxy(url).await;
        let stops = Replica::start(on_servers(&through_proxy)).await;
        let (alice, bob) = (party("alice"), party("bob"));
        proxy.set(Mode::Refuse);
        stops.emit(&transfer(&alice, &bob, 70)).await;
        until_unavailable(&stops).await;
        // Its process lives on, and with it the run that it left behind.
        stops.running.stop().await;

        let other = Replica::start(on_servers(url)).await;
        other.until_listed(&bob, 1).await;
        assert_eq!(other.total().await, 2);
        other.running.stop().await;
        for replica in [&stops.platform, &other.platform] {
            replica.bus.close(Duration::from_secs(5)).await;
        }
        let left = Leftovers::of(&namespace).queues([GROUP, NotificationsClient::CONTRACT.queue]);
        let left = left.exchanges([TransactionCompleted::EXCHANGE]);
        left.delete(&amqp).await.unwrap();
        std::fs::remove_dir_all(&keys).unwrap();
    })
    .await;
}
