//! A broker to test against, and queues that are gone afterwards.

use bytes::Bytes;
use lapin::{Connection, ConnectionProperties, options::QueueDeclareOptions, types::FieldTable};
use replybus::{
    contract::QueueType,
    message::{Message, Properties},
    transport::{
        Deliveries, Delivery, Outgoing, QueueSpec, Receipt, Source, Transport, Verdict, amqp::Amqp,
    },
};
use std::{
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Longer than anything here takes; what waits this long hangs.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

pub(crate) struct Broker {
    pub(crate) url: url::Url,
}

/// The broker, or `None` if there is none and that is allowed.
pub(crate) fn broker() -> Option<Broker> {
    let text = std::env::var("AMQP_URL")
        .unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned());
    let url = url::Url::parse(&text).expect("AMQP_URL is a URL");
    let broker = Broker { url };
    if broker.is_reachable() {
        return Some(broker);
    }
    assert!(
        std::env::var("BUS_REQUIRE_LIVE").as_deref() != Ok("1"),
        "no RabbitMQ at {}",
        broker.authority()
    );
    println!("skipped: no RabbitMQ at {}", broker.authority());
    None
}

impl Broker {
    pub(crate) fn authority(&self) -> String {
        let host = self.url.host_str().expect("a host");
        format!("{host}:{}", self.url.port().unwrap_or(5672))
    }

    fn is_reachable(&self) -> bool {
        let mut addresses = self.authority().to_socket_addrs().into_iter().flatten();
        addresses
            .any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
    }

    /// The same broker through another port of this machine.
    pub(crate) fn url_through(&self, port: u16) -> String {
        let mut url = self.url.clone();
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(port)).expect("a port");
        url.to_string()
    }

    pub(crate) fn amqp(&self) -> Amqp {
        Amqp::new(self.url.as_str()).connection_name("live_amqp")
    }

    pub(crate) async fn transport(&self) -> Arc<dyn Transport> {
        self.amqp().connect().await.expect("connects")
    }

    /// A queue of a name of its own, not declared yet, deleted in the end.
    pub(crate) fn queue(&self, name: &str) -> TestQueue {
        TestQueue {
            spec: QueueSpec {
                name: format!("test.{name}.{}", uuid::Uuid::new_v4()),
                queue_type: QueueType::Classic,
                length_max: None,
            },
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
        Source {
            queue: self.spec.clone(),
            prefetch,
            bindings: Vec::new(),
        }
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
        let deadline = Instant::now() + BOUND;
        loop {
            let ready = self.ready(channel).await;
            if ready == count {
                return;
            }
            assert!(Instant::now() < deadline, "{ready} ready, expected {count}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
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
    Outgoing {
        message: Message {
            exchange: String::new(),
            routing_key: queue.to_owned(),
            properties: Properties::default(),
            body: body.into(),
        },
        deadline: None,
        mandatory: true,
        confirm: true,
    }
}

pub(crate) fn number(n: u64) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

pub(crate) fn number_of(delivery: &Delivery) -> u64 {
    u64::from_be_bytes(delivery.message.body.as_ref().try_into().expect("8 bytes"))
}

pub(crate) async fn verdict(mut receipt: Receipt) -> Verdict {
    timeout(BOUND, receipt.verdict()).await.expect("a verdict")
}

pub(crate) async fn publish(transport: &Arc<dyn Transport>, outgoing: Outgoing) -> Verdict {
    verdict(transport.publish(outgoing)).await
}

pub(crate) async fn next(deliveries: &mut Box<dyn Deliveries>) -> Delivery {
    timeout(BOUND, deliveries.next())
        .await
        .expect("a delivery")
        .expect("not stopped")
}
