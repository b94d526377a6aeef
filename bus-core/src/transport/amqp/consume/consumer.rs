//! One consumer of one queue, over as many channels as that takes.

use super::{Consumers, absences::Absence, acks, deliveries::HandedOver};
use crate::transport::{
    Acknowledger, Delivery, Settler, Source,
    amqp::{
        connect::{Backoff, Failure, FailureKind, Live, Marker},
        convert::received,
        topology::{self, DeclareError},
    },
    settle_orders,
};
use futures_util::StreamExt;
use lapin::{
    Channel,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::{FieldTable, ShortString},
};
use metrics::Counter;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// The time a queue has to agree to the end of a consumer.
const CANCEL_WITHIN: Duration = Duration::from_secs(2);

/// The time a consumer has to end once the broker has agreed to it.
const END_WITHIN: Duration = Duration::from_secs(1);

/// A consumer on a channel of its own.
pub(super) struct Attached {
    channel: Arc<Channel>,
    consumer: lapin::Consumer,
    tag: ShortString,
    marker: Marker,
}

/// Declares the queue and consumes it; the queue may take `until` to answer.
pub(super) async fn attach(
    live: Arc<Live>,
    source: &Source,
    until: Option<Instant>,
) -> Result<Attached, DeclareError> {
    topology::declare(&live, &source.queue, &source.bindings, until).await?;
    let queue = topology::name(&source.queue.name, "queue")?;
    let opened = live.channel().await;
    let what = format!("queue \"{}\"", source.queue.name);
    let channel = opened.map_err(|failure| DeclareError::new(failure, &what))?;
    let channel = Arc::new(channel);
    let mut unless_attached = topology::CloseOnDrop(Some(Arc::clone(&channel)));
    let consumer = async {
        // Before the consumer, or it is sent the whole queue.
        let options = BasicQosOptions { global: false };
        live.answer(channel.basic_qos(source.prefetch, options))
            .await?;
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default());
        live.answer_about_queue(&source.queue.name, until, consumer)
            .await
    };
    let consumer = consumer.await.map_err(|failure| match failure.kind {
        // Deleted since it was declared a moment ago.
        FailureKind::Missing => DeclareError::Link(failure),
        _ => DeclareError::new(failure, &what),
    })?;
    unless_attached.0 = None;
    Ok(Attached {
        tag: consumer.tag(),
        marker: live.marker().clone(),
        channel,
        consumer,
    })
}

/// A queue that is consumed, until it is told to stop.
pub(super) struct Consumer {
    pub(super) consumers: Consumers,
    pub(super) source: Source,
    pub(super) handed_over: mpsc::Sender<HandedOver>,
    /// The generation of the present channel: what was handed over from an earlier one is stale.
    pub(super) generation: Arc<AtomicU64>,
    pub(super) stop: CancellationToken,
}

/// The end of a consumer on one channel.
enum End {
    Stopped,
    Lost(String),
}

impl Consumer {
    pub(super) async fn run(self, first: Attached) {
        // So that the first one is an increase.
        self.malformed().increment(0);
        let mut attached = first;
        let mut backoff = Backoff::new();
        loop {
            let attached_at = Instant::now();
            let End::Lost(reason) = self.pump(attached).await else {
                return;
            };
            // Deliveries not handed out yet are those of a channel that is gone.
            self.generation.fetch_add(1, Ordering::Release);
            let queue = &self.source.queue.name;
            tracing::warn!(queue, reason, "lost a consumer");
            if self.source.queue.single_active {
                // Whoever has what it handed out must hear of it, and begin anew.
                return;
            }
            backoff.lost_after(attached_at.elapsed());
            let absence = self.consumers.absences.note(queue, &reason);
            attached = tokio::select! {
                attached = self.attach_again(&absence, &mut backoff) => match attached {
                    Some(attached) => attached,
                    None => return,
                },
                () = self.stop.cancelled() => return,
            };
            tracing::info!(queue, "consuming again");
        }
    }

    /// A new consumer, however long it takes; `None` once the transport is closed.
    async fn attach_again(&self, absence: &Absence, backoff: &mut Backoff) -> Option<Attached> {
        let mut link = self.consumers.link.clone();
        loop {
            sleep(backoff.next()).await;
            let live = link.up().await?;
            match attach(live, &self.source, None).await {
                Ok(attached) => return Some(attached),
                Err(DeclareError::Setup(error)) => {
                    absence.because(&error.to_string());
                    tracing::error!(queue = self.source.queue.name, %error, "can't consume");
                }
                Err(DeclareError::Link(failure)) => {
                    absence.because(&failure.to_string());
                    tracing::warn!(queue = self.source.queue.name, %failure, "can't consume yet");
                }
            }
        }
    }

    /// Hands over deliveries until the consumer ends. What was handed over can be settled for as
    /// long as the channel lives, which ends when all of it is.
    async fn pump(&self, mut attached: Attached) -> End {
        let (acknowledger, settled) = settle_orders();
        let closing = self.consumers.closing.child_token();
        let acking = self.consumers.tasks.spawn(acks::run(
            Arc::clone(&attached.channel),
            settled,
            self.source.prefetch,
            closing.clone(),
        ));
        let generation = self.generation.load(Ordering::Acquire);
        loop {
            let received = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                received = attached.consumer.next() => received,
            };
            let delivery = match received {
                Some(Ok(delivery)) => self.deliver(delivery, &acknowledger, &attached.marker),
                Some(Err(error)) => return End::Lost(Failure::from(error).to_string()),
                None => return End::Lost("the broker ended the consumer".to_owned()),
            };
            let handed_over = HandedOver {
                generation,
                delivery,
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                sent = self.handed_over.send(handed_over) => if sent.is_err() { break },
            }
        }
        if self.source.queue.single_active {
            // With its channel a consumer ends, and all that it holds is back in its place, in one
            // step. Cancelled, the next would be active before that.
            closing.cancel();
            let _ = acking.await;
        } else {
            cancel(&mut attached, &acknowledger).await;
        }
        End::Stopped
    }

    fn deliver(
        &self,
        delivery: lapin::message::Delivery,
        acknowledger: &Arc<dyn Acknowledger>,
        marker: &Marker,
    ) -> Delivery {
        let delivery = received(delivery, acknowledger, marker);
        if let Some(reason) = &delivery.malformed {
            let queue = &self.source.queue.name;
            tracing::error!(queue, reason, "a message can't be read");
            self.malformed().increment(1);
        }
        delivery
    }

    fn malformed(&self) -> Counter {
        let queue = self.source.queue.name.clone();
        metrics::counter!("replybus_malformed_total", "queue" => queue)
    }
}

/// Ends the consumer and gives back what it was sent and nobody took.
async fn cancel(attached: &mut Attached, acknowledger: &Arc<dyn Acknowledger>) {
    let options = BasicCancelOptions::default();
    let cancelled = attached.channel.basic_cancel(attached.tag.clone(), options);
    if !matches!(timeout(CANCEL_WITHIN, cancelled).await, Ok(Ok(()))) {
        return; // With the channel all goes back anyway.
    }
    // The broker sent no more before it agreed, and lapin ends the stream where it did.
    while let Ok(Some(Ok(delivery))) = timeout(END_WITHIN, attached.consumer.next()).await {
        drop(Settler::new(
            delivery.delivery_tag,
            Arc::clone(acknowledger),
        ));
    }
}
