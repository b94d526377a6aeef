//! Consumes one queue for as long as it is wanted, over as many channels as that takes.

use super::{
    absences::{Absence, Absences},
    acks,
    convert::decode,
    failure::{Failure, FailureKind},
    link::{Link, Live, Pauses},
    topology::{self, DeclareError},
};
use crate::{
    error::SetupError,
    limits,
    transport::{Deliveries, Delivery, SettleOrder, Settler, Source},
};
use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use lapin::{
    Channel,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::{FieldTable, ShortString},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a queue may take to agree to the end of a consumer.
const CANCEL_WITHIN: Duration = Duration::from_secs(2);

/// How long a consumer may take to end once the broker has agreed to it.
const END_WITHIN: Duration = Duration::from_secs(1);

/// The deliveries of one queue.
pub(super) struct AmqpDeliveries {
    handed_over: mpsc::Receiver<HandedOver>,
    generation: Arc<AtomicU64>,
    stop: CancellationToken,
    task: TaskTracker,
}

/// A delivery, and the channel it came from.
struct HandedOver {
    generation: u64,
    delivery: Delivery,
}

#[async_trait]
impl Deliveries for AmqpDeliveries {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            let HandedOver {
                generation,
                delivery,
            } = self.handed_over.recv().await?;
            // One of a channel that is gone is delivered again on the present one.
            if generation == self.generation.load(Ordering::Acquire) {
                return Some(delivery);
            }
        }
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        self.handed_over.close();
        while self.handed_over.try_recv().is_ok() {}
        self.task.wait().await;
    }
}

impl Drop for AmqpDeliveries {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for AmqpDeliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpDeliveries").finish_non_exhaustive()
    }
}

/// What consumers of one transport share.
#[derive(Debug, Clone)]
pub(super) struct Consumers {
    pub(super) link: Link,
    pub(super) tasks: TaskTracker,
    pub(super) closing: CancellationToken,
    pub(super) connect_within: Duration,
    pub(super) absences: Absences,
    /// For error messages.
    pub(super) address: Arc<str>,
}

impl Consumers {
    /// Consumes `source` until stopped.
    pub(super) async fn consume(&self, source: Source) -> Result<AmqpDeliveries, SetupError> {
        if source.prefetch == 0 {
            return Err(SetupError::setting(
                "prefetch",
                "0 means without limit to the broker; it must be at least 1",
            ));
        }
        let stop = self.closing.child_token();
        let (sender, handed_over) = mpsc::channel(source.prefetch.into());
        let generation = Arc::new(AtomicU64::new(0));
        let task = Task {
            consumers: self.clone(),
            source,
            handed_over: sender,
            generation: Arc::clone(&generation),
            stop: stop.clone(),
        };
        let first = self.retried(|live, until| attach_to(live, &task.source, Some(until)));
        let first = first.await?;
        let tracker = TaskTracker::new();
        tracker.spawn(self.tasks.track_future(task.run(first)));
        tracker.close();
        Ok(AmqpDeliveries {
            handed_over,
            generation,
            stop,
            task: tracker,
        })
    }

    /// Does something on the connection, again if that fails for a passing reason, until
    /// `connect_within` is over. An attempt is told until when a queue may take to answer it, for
    /// which even the last one has [`limits::CONNECT_TIMEOUT`].
    pub(super) async fn retried<T, F>(
        &self,
        attempt: impl Fn(Arc<Live>, Instant) -> F,
    ) -> Result<T, SetupError>
    where
        F: Future<Output = Result<T, DeclareError>>,
    {
        let deadline = Instant::now() + self.connect_within;
        let mut link = self.link.clone();
        let mut last = Failure::transient("there was no connection");
        let mut pauses = Pauses::new();
        while let Ok(live) = timeout_at(deadline, link.up()).await {
            let until = deadline.max(Instant::now() + limits::CONNECT_TIMEOUT);
            match attempt(live.ok_or(SetupError::Closed)?, until).await {
                Ok(done) => return Ok(done),
                Err(DeclareError::Setup(error)) => return Err(error),
                Err(DeclareError::Link(failure)) => last = failure,
            }
            let pause = pauses.next();
            if Instant::now() + pause >= deadline {
                break;
            }
            sleep(pause).await;
        }
        Err(SetupError::Unreachable {
            server: "RabbitMQ",
            address: self.address.to_string(),
            source: last.into(),
        })
    }
}

/// A consumer on a channel of its own.
struct Attached {
    channel: Arc<Channel>,
    consumer: lapin::Consumer,
    tag: ShortString,
}

/// Declares the queue and consumes it; the queue may take `until` to answer.
async fn attach_to(
    live: Arc<Live>,
    source: &Source,
    until: Option<Instant>,
) -> Result<Attached, DeclareError> {
    topology::declare(&live, &source.queue, &source.bindings, until).await?;
    let queue = topology::name(&source.queue.name, "queue")?;
    let channel = live.channel().await.map_err(DeclareError::Link)?;
    let channel = Arc::new(channel);
    let mut unless_attached = CloseOnDrop(Some(Arc::clone(&channel)));
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
        _ => DeclareError::new(failure, &format!("queue \"{}\"", source.queue.name)),
    })?;
    unless_attached.0 = None;
    Ok(Attached {
        tag: consumer.tag(),
        channel,
        consumer,
    })
}

/// Closes a channel on which no consumer was waited for to the end. lapin would leave it open until
/// the broker agrees to the consumer, and then keep both: a consumer that takes messages for nobody.
struct CloseOnDrop(Option<Arc<Channel>>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(channel) = self.0.take() {
            // The first poll queues the frame; the broker gets to it when the queue has answered.
            let _ = channel.close(200, "given up".into()).now_or_never();
        }
    }
}

struct Task {
    consumers: Consumers,
    source: Source,
    handed_over: mpsc::Sender<HandedOver>,
    generation: Arc<AtomicU64>,
    stop: CancellationToken,
}

/// Why a consumer ended.
enum End {
    Stopped,
    Lost(String),
}

impl Task {
    async fn run(self, first: Attached) {
        let mut attached = first;
        loop {
            let End::Lost(reason) = self.pump(attached).await else {
                return;
            };
            // Deliveries not handed out yet are those of a channel that is gone.
            self.generation.fetch_add(1, Ordering::Release);
            let queue = &self.source.queue.name;
            tracing::warn!(queue, reason, "lost a consumer");
            let absence = self.consumers.absences.note(queue, &reason);
            attached = tokio::select! {
                attached = self.attach_again(&absence) => match attached {
                    Some(attached) => attached,
                    None => return,
                },
                () = self.stop.cancelled() => return,
            };
            tracing::info!(queue, "consuming again");
        }
    }

    /// A new consumer, however long it takes; `None` once the transport is closed.
    async fn attach_again(&self, absence: &Absence) -> Option<Attached> {
        let mut link = self.consumers.link.clone();
        let mut pauses = Pauses::new();
        loop {
            sleep(pauses.next()).await;
            let live = link.up().await?;
            match attach_to(live, &self.source, None).await {
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
        let (orders, receiver) = mpsc::unbounded_channel();
        self.consumers.tasks.spawn(acks::run(
            Arc::clone(&attached.channel),
            receiver,
            self.source.prefetch,
            self.consumers.closing.clone(),
        ));
        let generation = self.generation.load(Ordering::Acquire);
        loop {
            let received = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                received = attached.consumer.next() => received,
            };
            let delivery = match received {
                Some(Ok(delivery)) => deliver(delivery, &orders),
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
        cancel(&mut attached, &orders).await;
        End::Stopped
    }
}

fn deliver(
    delivery: lapin::message::Delivery,
    orders: &mpsc::UnboundedSender<SettleOrder>,
) -> Delivery {
    Delivery {
        redelivered: delivery.redelivered,
        received: Instant::now(),
        settler: Settler::new(delivery.delivery_tag, orders.clone()),
        message: decode(delivery),
    }
}

/// Ends the consumer and gives back what it was sent and nobody took.
async fn cancel(attached: &mut Attached, orders: &mpsc::UnboundedSender<SettleOrder>) {
    let options = BasicCancelOptions::default();
    let cancelled = attached.channel.basic_cancel(attached.tag.clone(), options);
    if !matches!(timeout(CANCEL_WITHIN, cancelled).await, Ok(Ok(()))) {
        return; // With the channel all goes back anyway.
    }
    // The broker sent no more before it agreed, and lapin ends the stream where it did.
    while let Ok(Some(Ok(delivery))) = timeout(END_WITHIN, attached.consumer.next()).await {
        drop(Settler::new(delivery.delivery_tag, orders.clone()));
    }
}
