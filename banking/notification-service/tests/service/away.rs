//! The database is away for a while.

use crate::stage::{Replica, SOON, on_postgres, on_sqlite, party, settings, transfer};
use chassis::{
    Platform,
    settings::{PlatformSettings, Secret},
};
use contracts::{EVENTS_EXCHANGE, Refused, TransactionCompleted, notification::NotificationError};
use lapin::{
    Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
};
use replybus::{Bus, CallError, limits::EVENT_ATTEMPTS_MAX};
use replybus_tests::{
    live::{self, unique},
    proxy::{Mode, Proxy},
};
use sqlx::{Connection as _, SqliteConnection};
use std::{net::ToSocketAddrs as _, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    time::{Instant, timeout},
};
use url::Url;

/// PostgreSQL behind a proxy.
async fn behind_proxy(url: &str) -> (Proxy, String) {
    let mut url = Url::parse(url).unwrap();
    let server = (url.host_str().unwrap(), url.port().unwrap_or(5432));
    let server = server.to_socket_addrs().unwrap().next().unwrap();
    let proxy = Proxy::to(server).await.unwrap();
    url.set_ip_host(proxy.addr().ip()).unwrap();
    url.set_port(Some(proxy.addr().port())).unwrap();
    (proxy, url.into())
}

/// Asks until the service says that it can't reach what it needs.
async fn until_unavailable(replica: &Replica) {
    let until = Instant::now() + SOON;
    let (name, pass) = replica.admin_pass();
    loop {
        let asked = replica.client.admin_total().metadata(name, pass.as_str());
        match asked.timeout(Duration::from_secs(20)).await {
            Err(CallError::Handler(NotificationError::Refused(Refused::Unavailable))) => return,
            other => assert!(Instant::now() < until, "{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_event_waits_for_postgres_to_come_back() {
    on_postgres(async |url| {
        let (proxy, url) = behind_proxy(url).await;
        let replica = Replica::start(settings(&url)).await;
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
        let replica = Replica::start(settings(url)).await;
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
        let replica = Replica::start(settings(&url)).await;
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

/// A process, as far as that matters: what it left running ends with it.
struct Process {
    runtime: Runtime,
    platform: Platform,
}

impl Process {
    /// Starts a replica, and returns it for the process to stop.
    async fn start(settings: PlatformSettings) -> (Self, Replica) {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let replica = runtime.spawn(Replica::start(settings)).await.unwrap();
        let platform = replica.platform.clone();
        (Self { runtime, platform }, replica)
    }

    async fn stop(&self, replica: Replica) {
        let stopping = self.runtime.spawn(replica.running.stop());
        stopping.await.unwrap();
    }

    /// Waits as long as a handler that only fails is run again, then ends the process.
    async fn end_when_failing_handlers_are_given_up(self) {
        let (runs, mut counted) = watch::channel(0);
        let witness = self.runtime.spawn(async move {
            let bus = Bus::in_memory();
            let failing = bus.subscribe("witness", move |_: TransactionCompleted| {
                runs.send_modify(|runs| *runs += 1);
                std::future::ready(Err("always"))
            });
            let failing = failing.await.unwrap();
            let event = transfer(&party("alice"), &party("bob"), 1);
            bus.emit(&event).await.unwrap();
            (bus, failing)
        });
        let last = counted.wait_for(|runs| *runs == EVENT_ATTEMPTS_MAX);
        timeout(SOON, last).await.unwrap().unwrap();
        drop(witness.await.unwrap());
        let bus = self.platform.bus;
        let closing = async move { bus.close(Duration::from_secs(5)).await };
        self.runtime.spawn(closing).await.unwrap();
        self.runtime.shutdown_background();
    }
}

#[tokio::test]
async fn an_event_whose_replica_stops_is_stored_by_another() {
    let (Some(amqp), Some(redis)) = (live::rabbitmq().await, live::redis().await) else {
        return;
    };
    on_postgres(async |url| {
        let namespace = unique("away");
        let on_servers = |url: &str| {
            let mut settings = settings(url);
            settings.amqp_url = Some(Secret::new(amqp.clone()));
            settings.redis_url = Some(Secret::new(redis.clone()));
            settings.namespace.clone_from(&namespace);
            settings
        };
        let (proxy, through_proxy) = behind_proxy(url).await;
        let (process, stops) = Process::start(on_servers(&through_proxy)).await;
        let (alice, bob) = (party("alice"), party("bob"));
        proxy.set(Mode::Refuse);
        stops.emit(&transfer(&alice, &bob, 70)).await;
        until_unavailable(&stops).await;
        process.stop(stops).await;
        process.end_when_failing_handlers_are_given_up().await;

        let other = Replica::start(on_servers(url)).await;
        other.until_listed(&bob, 1).await;
        assert_eq!(other.total().await, 2);
        other.running.stop().await;
        other.platform.bus.close(Duration::from_secs(5)).await;
        delete_queues(&amqp, &namespace).await;
    })
    .await;
}

/// What a run leaves on the shared broker.
async fn delete_queues(amqp: &str, namespace: &str) {
    let connection = Connection::connect(amqp, ConnectionProperties::default());
    let connection = connection.await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    for queue in ["notifications", "notification.requests"] {
        for name in [
            format!("{namespace}.{queue}"),
            format!("{namespace}.{queue}.dead"),
        ] {
            let deleted = channel.queue_delete(name.into(), QueueDeleteOptions::default());
            deleted.await.unwrap();
        }
    }
    let exchange = format!("{namespace}.{EVENTS_EXCHANGE}");
    let deleted = channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default());
    deleted.await.unwrap();
}
