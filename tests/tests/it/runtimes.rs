//! A bus lives as long as the runtime it was connected on.

use replybus::{
    Amqp, Bus, CallError, Event, FailureKind, Never, SetupError, event::EmitError, queue_handler,
    transport::TransportHealth,
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::{rabbitmq, redis, unique},
    wait::bounded,
};
use serde::{Deserialize, Serialize};
use std::{error::Error as _, time::Duration};
use tokio::runtime::Runtime;

const ENDED: &str = "the runtime of this bus has ended";

#[queue_handler("requests")]
trait Echo {
    #[query]
    async fn ask(&self, text: String) -> Result<String, Never>;
    async fn tell(&self, text: String) -> Result<String, Never>;
}

struct Here;

impl Echo for Here {
    async fn ask(&self, text: String) -> Result<String, Never> {
        Ok(text)
    }
    async fn tell(&self, text: String) -> Result<String, Never> {
        Ok(text)
    }
}

#[derive(Event, Serialize, Deserialize)]
#[event("order.placed")]
struct OrderPlaced {}

/// A bus that was used, on a runtime that has ended.
fn orphaned() -> Option<Bus> {
    let runtime = Runtime::new().unwrap();
    let bus = runtime.block_on(async {
        let (amqp, redis) = (rabbitmq().await?, redis().await?);
        let bus = Bus::builder()
            .namespace(unique("runtimes"))
            .connect(Amqp::new(amqp), RedisReplies::new(redis));
        let bus = bus.await.unwrap();
        let nobody = EchoClient::new(&bus).ask(String::new()).await.unwrap_err();
        assert_eq!(nobody.kind(), Some(FailureKind::Unroutable));
        assert!(bus.health().is_up());
        Some(bus)
    });
    drop(runtime);
    bus
}

fn assert_disconnected<E: std::error::Error>(error: &CallError<E>) {
    let CallError::Bus(failure) = error else {
        panic!("{error}");
    };
    assert_eq!(failure.kind(), FailureKind::Disconnected);
    assert!(!failure.may_have_executed());
    assert_eq!(failure.cause().unwrap().to_string(), ENDED);
}

#[test]
fn a_bus_whose_runtime_has_ended_says_so_at_once() {
    let Some(bus) = orphaned() else { return };
    Runtime::new().unwrap().block_on(async {
        let health = bus.health();
        assert!(!health.is_up());
        assert_eq!(health.transport, TransportHealth::Down(ENDED.to_owned()));

        let echo = EchoClient::new(&bus);
        // They have 20 minutes, and take none of them.
        let long = Duration::from_secs(20 * 60);
        let asked = bounded(echo.ask("x".to_owned()).timeout(long).into_future()).await;
        assert_disconnected(&asked.unwrap_err());
        let told = bounded(echo.tell("x".to_owned()).timeout(long).into_future()).await;
        assert_disconnected(&told.unwrap_err());
        let sent = bounded(echo.tell("x".to_owned()).send()).await.unwrap_err();
        assert_eq!(sent.kind(), FailureKind::Disconnected);

        let emitted = bounded(bus.emit(&OrderPlaced {}).timeout(long).into_future()).await;
        let disconnected = emitted.unwrap_err();
        assert!(matches!(&disconnected, EmitError::Disconnected { reason, .. } if reason == ENDED));
        let served = bounded(bus.serve(EchoServer::new(Here)).into_future()).await;
        assert!(matches!(served.unwrap_err(), SetupError::RuntimeEnded));
        let looked = bounded(bus.inspect("requests")).await.unwrap_err();
        let source = looked.source().map(ToString::to_string);
        assert_eq!(source.as_deref(), Some(ENDED));
        bounded(bus.close(Duration::from_secs(1))).await;
    });
}
