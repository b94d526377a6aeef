//! What can't work says so at once, and says why.

use crate::support::{BOUND, broker, publish, to_queue};
use replybus::{
    SetupError,
    transport::{Transport, TransportHealth, Verdict, amqp::Amqp},
};
use replybus_testkit::{
    proxy::{Mode, Proxy},
    wait::{bounded, eventually, until},
};
use std::{net::TcpListener, sync::Arc, time::Duration};

async fn error_of(amqp: Amqp) -> SetupError {
    let connected = bounded(amqp.connect()).await;
    connected
        .map(|_: Arc<dyn Transport>| ())
        .expect_err("no connection")
}

#[tokio::test]
async fn a_wrong_password_or_virtual_host_is_refused_at_once() {
    let Some(broker) = broker().await else { return };
    let mut url = broker.url.clone();
    url.set_password(Some("wrong-secret")).unwrap();
    let error = error_of(Amqp::new(url.as_str()).connect_within(BOUND * 10)).await;
    assert!(matches!(error, SetupError::Refused { .. }), "{error}");
    assert!(error.to_string().contains(&broker.authority()), "{error}");
    assert!(!format!("{error:?}").contains("wrong-secret"), "{error:?}");

    let mut url = broker.url.clone();
    url.set_path("/no-such-virtual-host");
    let error = error_of(Amqp::new(url.as_str()).connect_within(BOUND * 10)).await;
    assert!(matches!(error, SetupError::Refused { .. }), "{error}");
    assert!(
        error.to_string().contains("no-such-virtual-host"),
        "{error}"
    );
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_unreachable() {
    let amqp = Amqp::new("amqp://a:secret@127.0.0.1:1/%2f");
    let error = error_of(amqp.connect_within(Duration::from_millis(300))).await;
    let SetupError::Unreachable {
        address, source, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(address, "127.0.0.1:1");
    assert!(source.to_string().contains("refused"), "{source}");
}

#[tokio::test]
async fn an_attempt_that_gets_no_answer_leaves_nothing_behind() {
    // What is behind the proxy is never reached.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::to(nobody.local_addr().unwrap()).await.unwrap();
    proxy.set(Mode::Swallow);
    let amqp = Amqp::new(format!("amqp://a:b@{}/%2f", proxy.addr()));
    let error = error_of(amqp.connect_within(Duration::from_millis(300))).await;
    assert!(matches!(error, SetupError::Unreachable { .. }), "{error}");
    // Both connections: lapin alone would keep a thread and a socket for each, for ever.
    eventually("no socket is left open", || async {
        proxy.ended_by_client() >= 2
    })
    .await;
}

#[tokio::test]
async fn further_addresses_are_tried() {
    let Some(broker) = broker().await else { return };
    let transport = Amqp::new("amqp://a:b@127.0.0.1:1/%2f")
        .address(broker.url.as_str())
        .connect()
        .await
        .unwrap();
    assert_eq!(transport.health(), TransportHealth::Up);
    transport.close(BOUND).await;
    assert_eq!(
        transport.health(),
        TransportHealth::Down("closed".to_owned())
    );
}

#[tokio::test]
async fn settings_that_make_no_sense_are_named() {
    let url = "amqp://a:hunter2@127.0.0.1:1/%2f";
    for (amqp, setting) in [
        (Amqp::new(url).heartbeat(Duration::ZERO), "heartbeat"),
        (
            Amqp::new(url).heartbeat(Duration::from_millis(1500)),
            "heartbeat",
        ),
        (
            Amqp::new(url).connect_within(Duration::ZERO),
            "connect_within",
        ),
        (
            Amqp::new(url).confirm_timeout(Duration::ZERO),
            "confirm_timeout",
        ),
        (Amqp::new(url).address("amqp://a:b@127.0.0.1"), "broker URL"),
    ] {
        assert!(!format!("{amqp:?}").contains("hunter2"));
        let error = error_of(amqp).await;
        assert!(error.to_string().starts_with(setting), "{error}");
    }
}

#[tokio::test]
async fn a_queue_of_other_arguments_is_an_error_with_the_remedy() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("mismatch");
    transport.declare(queue.spec.clone()).await.unwrap();
    let mut source = queue.source(4);
    source.queue.length_max = Some(10);
    let error = transport
        .consume(source)
        .await
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(error.contains(queue.name()), "{error}");
    assert!(
        error.contains("x-max-length") && error.contains("delete it"),
        "{error}"
    );
    // It harmed nothing else.
    assert_eq!(
        publish(&transport, to_queue(queue.name(), "x")).await,
        Verdict::Confirmed
    );
    assert!(transport.consume(queue.source(4)).await.is_ok());
}

#[tokio::test]
async fn names_the_broker_does_not_allow_are_errors() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let mut reserved = broker.queue("reserved").spec.clone();
    reserved.name = "amq.reserved".to_owned();
    let error = transport.declare(reserved.clone()).await.unwrap_err();
    assert!(matches!(error, SetupError::Topology { .. }), "{error}");
    reserved.name = "x".repeat(256);
    let error = transport.declare(reserved.clone()).await.unwrap_err();
    assert!(matches!(error, SetupError::Setting { .. }), "{error}");
    reserved.name = String::new();
    let error = transport.declare(reserved).await.unwrap_err();
    assert!(matches!(error, SetupError::Setting { .. }), "{error}");
    assert!(
        transport
            .consume(broker.queue("zero").source(0))
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_that_are_not_there_can_be_looked_for_as_often_as_one_likes() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let missing = broker.queue("missing");
    let there = broker.queue("there");
    transport.declare(there.spec.clone()).await.unwrap();
    // More often than a connection has channels, each of which the broker closes.
    for _ in 0..2_500 {
        until("it is known whether it is there", async || {
            transport
                .inspect(missing.name())
                .await
                .map(|found| assert_eq!(found, None))
        })
        .await;
    }
    let found = bounded(transport.inspect(there.name())).await.unwrap();
    assert_eq!(found.map(|queue| queue.waiting), Some(0));
    assert_eq!(transport.health(), TransportHealth::Up);
    transport.close(Duration::from_secs(5)).await;
}
