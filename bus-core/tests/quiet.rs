//! What a program without any filter sees of a normal day: a program of its own, for a subscriber
//! of its own.

#![cfg(feature = "amqp")]
#![allow(clippy::unwrap_used, clippy::panic)]

use lapin::options::QueueDeclareOptions;
use replybus::{
    message::Message,
    transport::{Outgoing, QueueSpec, Settled, Source, Verdict, amqp::Amqp},
};
use replybus_testkit::{
    live::{rabbitmq, unique},
    wait::{AT_MOST, bounded, eventually},
};
use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Takes everything, and keeps what is said above `debug`.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Said {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut words = Words(format!("{} {}", metadata.level(), metadata.target()));
        event.record(&mut words);
        self.0.lock().unwrap().push(words.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Connects, declares, consumes, publishes, asks for a queue that is not there, is told that there
/// is none, and closes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_normal_day_is_not_heard_above_debug() {
    let Some(url) = rabbitmq().await else { return };
    let said = Said::default();
    tracing::subscriber::set_global_default(said.clone()).unwrap();
    let mut names = Vec::new();
    for _ in 0..20 {
        let transport = Amqp::new(&url).connect().await.unwrap();
        let name = unique("quiet");
        assert_eq!(transport.inspect(&name).await.unwrap(), None);
        let to = |name: &str| {
            Outgoing::new(Message {
                routing_key: name.into(),
                body: "the body of a message".into(),
                ..Message::default()
            })
        };
        let nowhere = bounded(transport.publish(to(&name)).verdict()).await;
        assert_eq!(nowhere, Verdict::Unroutable);
        let queue = QueueSpec::new(&name);
        let mut deliveries = transport.consume(Source::new(queue, 4)).await.unwrap();
        let stored = bounded(transport.publish(to(&name)).verdict()).await;
        assert_eq!(stored, Verdict::Confirmed);
        let delivery = bounded(deliveries.next()).await.unwrap();
        delivery.settler.settle(Settled::Ack);
        transport.close(AT_MOST).await;
        drop((deliveries, transport));
        let heard = said.taken().into_iter();
        let unexpected = heard.filter(|line| !line.contains("connected to RabbitMQ"));
        assert_eq!(unexpected.collect::<Vec<_>>(), [""; 0]);
        names.push(name);
    }
    delete(&url, names).await;
    // What is not ours is heard as before.
    eventually("lapin is heard", || async {
        said.taken()
            .iter()
            .any(|line| line.contains("lapin::channel"))
    })
    .await;
}

/// Deletes queues, with a client of its own, which then asks for one of them.
async fn delete(url: &str, queues: Vec<String>) {
    let connection = lapin::Connection::connect(url, Default::default());
    let channel = connection.await.unwrap().create_channel().await.unwrap();
    for queue in queues {
        let deleted = channel.queue_delete(queue.into(), Default::default());
        deleted.await.unwrap();
    }
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let asked = channel.queue_declare("no.such.queue".into(), passive, Default::default());
    asked.await.unwrap_err();
}
