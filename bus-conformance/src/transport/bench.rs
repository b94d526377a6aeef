//! One case's share of a broker, and short words for what is done to it.

use super::{Declared, TransportFixture};
use crate::unique;
use replybus::{
    message::Message,
    transport::{
        Binding, Deliveries, Delivery, Outgoing, QueueSpec, Settled, Source, Transport, Verdict,
    },
};
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::timeout;

/// A connection to the broker, more of them, and names.
pub(crate) struct Bench {
    pub(crate) transport: Arc<dyn Transport>,
    fixture: Box<dyn TransportFixture>,
    declared: Mutex<Declared>,
}

impl Bench {
    pub(super) async fn new(fixture: Box<dyn TransportFixture>) -> Self {
        Self {
            transport: fixture.backend().open().await.unwrap(),
            fixture,
            declared: Mutex::default(),
        }
    }

    /// Closes the connection, and has what was declared deleted.
    pub(super) async fn clear(&self, bound: Duration) {
        // One that does not close in time has its names deleted all the same.
        let _ = timeout(bound, self.transport.close(bound)).await;
        let declared = self.declared().clone();
        self.fixture.clear(declared).await;
    }

    fn declared(&self) -> MutexGuard<'_, Declared> {
        self.declared.lock().unwrap()
    }

    /// Another connection to the same broker.
    pub(crate) async fn connect(&self) -> Arc<dyn Transport> {
        self.fixture.backend().open().await.unwrap()
    }

    /// A queue of this case's own, not declared yet.
    pub(crate) fn queue(&self) -> QueueSpec {
        let name = unique("queue");
        self.declared().queues.push(name.clone());
        QueueSpec::new(name)
    }

    /// An exchange of this case's own, not declared yet.
    pub(crate) fn exchange(&self) -> String {
        let name = unique("exchange");
        self.declared().exchanges.push(name.clone());
        name
    }

    /// A place of this case's own for delays, not declared yet.
    pub(crate) fn way(&self) -> String {
        let mut declared = self.declared();
        let way = declared.way.get_or_insert_with(|| unique("delay"));
        way.clone()
    }

    pub(crate) async fn consume(&self, queue: &QueueSpec, prefetch: u16) -> Consumer {
        self.subscribe(queue, prefetch, Vec::new()).await
    }

    pub(crate) async fn subscribe(
        &self,
        queue: &QueueSpec,
        prefetch: u16,
        bindings: Vec<Binding>,
    ) -> Consumer {
        let queue = queue.clone();
        let source = bindings
            .into_iter()
            .fold(Source::new(queue, prefetch), Source::bind);
        Consumer(self.transport.consume(source).await.unwrap())
    }

    /// Publishes and returns the verdict.
    pub(crate) async fn publish(&self, outgoing: Outgoing) -> Verdict {
        self.transport.publish(outgoing).verdict().await
    }

    /// Publishes to a queue what must be confirmed.
    pub(crate) async fn send(&self, queue: &QueueSpec, bodies: &[&str]) {
        for body in bodies {
            let verdict = self.publish(to(queue, body)).await;
            assert_eq!(verdict, Verdict::Confirmed, "{body}");
        }
    }
}

/// Deliveries, by their bodies.
pub(crate) struct Consumer(pub(crate) Box<dyn Deliveries>);

impl Consumer {
    pub(crate) async fn next(&mut self) -> Delivery {
        self.0.next().await.unwrap()
    }

    /// Takes and acks the next delivery, which must have this body.
    pub(crate) async fn takes(&mut self, expected: &str) {
        let delivery = self.next().await;
        assert_eq!(body(&delivery), expected);
        delivery.settler.settle(Settled::Ack);
    }
}

pub(crate) fn body(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.message.body).unwrap()
}

/// A mandatory message without a deadline.
pub(crate) fn to(queue: &QueueSpec, body: &str) -> Outgoing {
    routed("", &queue.name, body)
}

pub(crate) fn routed(exchange: &str, routing_key: &str, body: &str) -> Outgoing {
    Outgoing::new(Message {
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        body: body.to_owned().into(),
        ..Message::default()
    })
}

pub(crate) fn bind(exchange: &str, routing_key: &str) -> Binding {
    Binding::new(exchange, routing_key)
}
