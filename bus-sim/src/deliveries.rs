//! The consumers of a process: what they are sent, and how it is settled.

use crate::{
    session::{Delivered, OnDelivery},
    wire::{Act, Back, Lane, Lost, Sent, Wire, lock},
};
use async_trait::async_trait;
use replybus::{
    SetupError,
    transport::{Acknowledger, Deliveries, Delivery, Settled, Settler, Source},
};
use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The consumers of one line.
pub(crate) struct Consumers {
    wire: Wire,
    line: u64,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    last: u64,
    consumers: BTreeMap<u64, Consumer>,
}

struct Consumer {
    source: Source,
    deliveries: UnboundedSender<Delivery>,
    /// It was consumed once: it is consumed again after a lost connection.
    began: bool,
}

impl Consumers {
    pub(crate) fn new(wire: Wire, line: u64) -> Arc<Self> {
        Arc::new(Self {
            wire,
            line,
            known: Mutex::default(),
        })
    }

    pub(crate) fn add(&self, source: Source) -> (u64, UnboundedReceiver<Delivery>) {
        let (sender, receiver) = unbounded_channel();
        let mut known = lock(&self.known);
        known.last += 1;
        let id = known.last;
        let consumer = Consumer {
            source,
            deliveries: sender,
            began: false,
        };
        known.consumers.insert(id, consumer);
        (id, receiver)
    }

    pub(crate) fn began(&self, id: u64) {
        if let Some(consumer) = lock(&self.known).consumers.get_mut(&id) {
            consumer.began = true;
        }
    }

    pub(crate) fn remove(&self, id: u64) {
        let removed = lock(&self.known).consumers.remove(&id);
        // What it holds goes back, which is a step of this process.
        drop(removed);
    }

    /// Asks the broker for the messages of a consumer's queue.
    pub(crate) fn consume(
        self: &Arc<Self>,
        id: u64,
    ) -> impl Future<Output = Result<Result<(), SetupError>, Lost>> + Send + use<> {
        let known = lock(&self.known);
        let source = known
            .consumers
            .get(&id)
            .map(|consumer| consumer.source.clone());
        drop(known);
        let (line, link) = (self.line, self.wire.link().number);
        let consumers = Arc::clone(self);
        let on_delivery: OnDelivery = Arc::new(move || {
            let consumers = Arc::clone(&consumers);
            let delivered: Delivered = Box::new(move |tag, message, redelivered| {
                let settle = Settle {
                    wire: consumers.wire.clone(),
                    line,
                    link,
                    consumer: id,
                };
                let settler = Settler::new(tag, Arc::new(settle));
                let delivery = Delivery::new(message, settler).redelivered(redelivered);
                // To nobody any more, it is dropped, and so given back.
                if let Some(consumer) = lock(&consumers.known).consumers.get(&id) {
                    let _ = consumer.deliveries.send(delivery);
                }
            });
            delivered
        });
        let name = source.as_ref().map(|source| source.queue.name.clone());
        self.wire.ask(
            Lane::Broker,
            "consumes",
            &name.unwrap_or_default(),
            move |session| async move {
                match source {
                    Some(source) => session.consume(line, id, source, on_delivery).await,
                    None => Err(SetupError::Closed),
                }
            },
        )
    }

    /// Consumes again what was consumed before the connection was lost.
    pub(crate) fn consume_again(self: &Arc<Self>) {
        let known = lock(&self.known);
        let began = known
            .consumers
            .iter()
            .filter(|(_, consumer)| consumer.began);
        let began: Vec<u64> = began.map(|(id, _)| *id).collect();
        drop(known);
        for id in began {
            // If it is lost again, it is consumed again then.
            drop(self.consume(id));
        }
    }

    /// The connection was lost: ends those that end with it.
    pub(crate) fn lost(&self) {
        lock(&self.known)
            .consumers
            .retain(|_, consumer| !consumer.source.queue.single_active);
    }

    pub(crate) fn close(&self) {
        let ended = std::mem::take(&mut lock(&self.known).consumers);
        drop(ended);
    }

    fn stop(&self, id: u64) -> impl Future<Output = Result<(), Lost>> + Send + use<> {
        self.remove(id);
        let line = self.line;
        self.wire.ask(
            Lane::Broker,
            "stops consuming",
            "",
            move |session| async move {
                session.stop(line, id).await;
            },
        )
    }
}

/// Deliveries of one consumer.
pub(crate) struct SimulatedDeliveries {
    id: u64,
    deliveries: UnboundedReceiver<Delivery>,
    consumers: Arc<Consumers>,
    stopped: bool,
}

impl SimulatedDeliveries {
    pub(crate) fn new(
        id: u64,
        deliveries: UnboundedReceiver<Delivery>,
        consumers: Arc<Consumers>,
    ) -> Self {
        Self {
            id,
            deliveries,
            consumers,
            stopped: false,
        }
    }

    fn begin_stop(&mut self) -> impl Future<Output = Result<(), Lost>> + Send + use<> {
        self.stopped = true;
        let ended = self.consumers.stop(self.id);
        self.deliveries.close();
        while let Ok(untaken) = self.deliveries.try_recv() {
            drop(untaken);
        }
        ended
    }
}

#[async_trait]
impl Deliveries for SimulatedDeliveries {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.deliveries.poll_recv(cx)
    }

    async fn stop(&mut self) {
        if !self.stopped {
            // A connection that was lost has ended the consumer.
            let _ = self.begin_stop().await;
        }
    }
}

impl Drop for SimulatedDeliveries {
    fn drop(&mut self) {
        if !self.stopped {
            drop(self.begin_stop());
        }
    }
}

impl fmt::Debug for SimulatedDeliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedDeliveries")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Settles the deliveries of one consumer, on one connection.
struct Settle {
    wire: Wire,
    line: u64,
    link: u64,
    consumer: u64,
}

impl Acknowledger for Settle {
    fn settle(&self, tag: u64, settled: Settled) {
        let (line, consumer) = (self.line, self.consumer);
        self.wire.send(Sent {
            lane: Lane::Broker,
            link: self.link,
            what: match settled {
                Settled::Ack => "acknowledges",
                _ => "gives back",
            },
            about: format!("{consumer}:{tag}"),
            act: Act::Job(Box::new(move |session| {
                Box::pin(async move {
                    session.settle(line, consumer, tag, settled);
                    let nothing: Back = Box::new(|| {});
                    nothing
                })
            })),
            departure: None,
        });
    }
}
