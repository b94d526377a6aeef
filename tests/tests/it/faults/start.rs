//! Programs and servers start in any order, and share connections.

use super::{
    load::{Kind, call},
    rig::{AT_MOST, Rig, Settings, connect},
};
use replybus::{Amqp, Bus, SetupError, transport::TransportHealth};
use replybus_redis::RedisReplies;
use replybus_testkit::{live::unique, servers::Persistence};
use replybus_tests::ledger::{Books, LedgerClient, LedgerServer};
use std::{sync::Arc, time::Duration};

const WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_waits_for_servers_that_start_after_it() {
    let Some(mut rig) = Rig::start(Persistence::None).await else {
        return;
    };
    rig.rabbit.kill();
    rig.redis.kill();
    let servers = rig.servers();
    let early = Amqp::new(&servers.0).connect_within(Duration::from_millis(300));
    let early = Bus::connect(early, RedisReplies::new(&servers.1)).await;
    assert!(matches!(
        early,
        Err(SetupError::Unreachable {
            server: "RabbitMQ",
            ..
        })
    ));

    let bus = tokio::spawn(async move { connect("early", Settings::default(), &servers).await });
    rig.rabbit.restart().await.unwrap();
    rig.redis.restart().await.unwrap();
    let bus = bus.await.unwrap();
    let (books, _gate) = Books::new(Arc::default());
    let _serving = bus.serve(LedgerServer::new(books)).await.unwrap();
    let client = LedgerClient::new(&bus);
    for kind in [Kind::Query, Kind::Command, Kind::KeyedCommand, Kind::Send] {
        let one = call(&client, kind, WITHIN).await;
        assert!(one.outcome.is_ok(), "{one:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_and_callers_of_one_bus_share_two_connections() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let (amqp, redis) = rig.servers();
    let name = unique("many");
    let amqp = Amqp::new(amqp).connection_name(&name);
    let bus = Bus::builder()
        .namespace(&name)
        .connect(amqp, RedisReplies::new(redis))
        .await
        .unwrap();
    let (books, _gate) = Books::new(Arc::default());
    let mut serving = Vec::new();
    for queue in 0..8 {
        let served = bus.serve(LedgerServer::new(books.clone()));
        serving.push(served.on_queue(format!("ledger.{queue}")).await.unwrap());
    }
    for queue in 0..8 {
        let client = LedgerClient::new(&bus).on_queue(format!("ledger.{queue}"));
        let one = call(&client, Kind::Command, WITHIN).await;
        assert!(one.outcome.is_ok(), "{one:?}");
    }
    let listed = ["list_connections", "client_properties"];
    let connections = rig.rabbit.ctl(&listed).await.unwrap();
    let ours = connections.lines().filter(|line| line.contains(&name));
    assert_eq!(ours.count(), 2, "{connections}");

    bus.close(AT_MOST).await;
    assert!(matches!(bus.health().transport, TransportHealth::Down(_)));
    for serving in serving {
        serving.shutdown().await.unwrap();
    }
    let client = LedgerClient::new(&bus).on_queue("ledger.0");
    let one = call(&client, Kind::Command, WITHIN).await;
    assert!(!one.outcome.unwrap_err().may_have_executed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_refused_at_once_and_not_shown() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let url = rig.rabbit.url().replace("guest:guest", "guest:hunter2");
    let refused = Bus::connect(
        Amqp::new(url).connect_within(AT_MOST),
        RedisReplies::new(rig.redis.url()),
    );
    let error = refused.await.unwrap_err();
    assert!(matches!(error, SetupError::Refused { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}
