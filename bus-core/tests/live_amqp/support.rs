//! A broker to test against, and queues that are gone afterwards.

use bytes::Bytes;
use lapin::{Connection, ConnectionProperties, options::QueueDeclareOptions, types::FieldTable};
use replybus::{
    message::{Message, Properties},
    transport::{
        Deliveries, Delivery, Outgoing, QueueSpec, Receipt, Source, Transport, Verdict, amqp::Amqp,
    },
};
use replybus_testkit::{
    live::{self, unique},
    proxy::Proxy,
    wait::{AT_MOST, bounded, eventually},
};
use std::{sync::Arc, time::Duration};
use url::Url;

/// Longer than anything here takes; what waits this long hangs.
pub(crate) const BOUND: Duration = AT_MOST;

pub(crate) struct Broker {
    pub(crate) url: Url,
}

/// The broker, or `None` if there is none and that is allowed.
pub(crate) async fn broker() -> Option<Broker> {
    let url = live::rabbitmq().await?;
    let url = Url::parse(&url).expect("AMQP_URL is a URL");
    Some(Broker { url })
}

impl Broker {
    pub(crate) fn authority(&self) -> String {
        let host = self.url.host_str().expect("a host");
        format!("{host}:{}", self.url.port().unwrap_or(5672))
    }

    /// A way to the broker that may be broken, and a transport to connect by it.
    pub(crate) async fn through_proxy(&self) -> (Proxy, Amqp) {
        let before = Proxy::before(self.url.as_str(), 5672).await;
        let (proxy, url) = before.expect("a port");
        (proxy, Amqp::new(url))
    }

    pub(crate) fn amqp(&self) -> Amqp {
        Amqp::new(self.url.as_str()).connection_name("live_amqp")
    }

    pub(crate) async fn transport(&self) -> Arc<dyn Transport> {
        self.amqp().connect().await.expect("connects")
    }

    /// A queue of a name of its own, not declared yet, deleted in the end.
    pub(crate) fn queue(&self, name: &str) -> TestQueue {
        self.named(unique(name))
    }

    /// A queue of this name, deleted in the end.
    pub(crate) fn named(&self, name: String) -> TestQueue {
        TestQueue {
            spec: QueueSpec::new(name),
            url: self.url.to_string(),
        }
    }

    /// A channel that owes nothing to what is tested.
    pub(crate) async fn raw(&self) -> lapin::Channel {
        raw(self.url.as_str()).await
    }
}

async fn raw(url: &str) -> lapin::Channel {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .expect("connects");
    // The channel keeps the connection.
    connection.create_channel().await.expect("opens a channel")
}

pub(crate) struct TestQueue {
    pub(crate) spec: QueueSpec,
    url: String,
}

impl TestQueue {
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    pub(crate) fn source(&self, prefetch: u16) -> Source {
        Source::new(self.spec.clone(), prefetch)
    }

    /// Messages ready in the queue, by the broker's count.
    pub(crate) async fn ready(&self, channel: &lapin::Channel) -> u32 {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        channel
            .queue_declare(self.name().into(), options, FieldTable::default())
            .await
            .expect("the queue exists")
            .message_count()
    }

    /// Waits until the broker counts `count` messages ready.
    pub(crate) async fn wait_ready(&self, channel: &lapin::Channel, count: u32) {
        let what = format!("{count} messages are ready");
        eventually(&what, || async { self.ready(channel).await == count }).await;
    }
}

impl Drop for TestQueue {
    fn drop(&mut self) {
        let (url, name) = (self.url.clone(), self.spec.name.clone());
        let deleted = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let channel = raw(&url).await;
                let _ = channel
                    .queue_delete(name.as_str().into(), Default::default())
                    .await;
            });
        });
        let _ = deleted.join();
    }
}

/// A message to a queue, to be returned if there is none.
pub(crate) fn to_queue(queue: &str, body: impl Into<Bytes>) -> Outgoing {
    Outgoing::new(Message {
        exchange: "".into(),
        routing_key: queue.into(),
        properties: Properties::default(),
        body: body.into(),
    })
}

pub(crate) fn number(n: u64) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

pub(crate) fn number_of(delivery: &Delivery) -> u64 {
    u64::from_be_bytes(delivery.message.body.as_ref().try_into().expect("8 bytes"))
}

pub(crate) async fn verdict(mut receipt: Receipt) -> Verdict {
    bounded(receipt.verdict()).await
}

pub(crate) async fn publish(transport: &Arc<dyn Transport>, outgoing: Outgoing) -> Verdict {
    verdict(transport.publish(outgoing)).await
}

pub(crate) async fn next(deliveries: &mut Box<dyn Deliveries>) -> Delivery {
    bounded(deliveries.next()).await.expect("not stopped")
}
