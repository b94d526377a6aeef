//! Consuming: the door of the transport to its queues, each consumed for as long as it is wanted.

mod absences;
mod acks;
mod consumer;
mod deliveries;

pub(super) use absences::Absences;
pub(super) use deliveries::AmqpDeliveries;

use self::{
    consumer::{Consumer, attach},
    deliveries::HandedOver,
};
use super::{
    connect::{Backoff, Failure, Link, Live},
    topology::DeclareError,
};
use crate::{error::SetupError, limits::CONNECT_TIMEOUT, transport::Source};
use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The consumers of one transport, and what they share.
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
        let (sender, handed_over) = mpsc::channel::<HandedOver>(source.prefetch.into());
        let generation = Arc::new(AtomicU64::new(0));
        let consumer = Consumer {
            consumers: self.clone(),
            source,
            handed_over: sender,
            generation: Arc::clone(&generation),
            stop: stop.clone(),
        };
        let source = &consumer.source;
        let absence = Mutex::new(None);
        let first = self.retried(|live, until| {
            let absence = &absence;
            async move {
                let attached = attach(live, source, Some(until)).await;
                if let (Err(error), true) = (&attached, source.queue.single_active) {
                    // It may have been consumed before: whoever did begins anew here.
                    let noted = self.absences.note(&source.queue.name, &error.to_string());
                    *absence.lock().unwrap_or_else(PoisonError::into_inner) = Some(noted);
                }
                attached
            }
        });
        let first = first.await?;
        let task = TaskTracker::new();
        task.spawn(self.tasks.track_future(consumer.run(first)));
        task.close();
        Ok(AmqpDeliveries {
            handed_over,
            generation,
            stop,
            task,
        })
    }

    /// Does something on the connection, again if that fails for a passing reason, until
    /// `connect_within` is over. An attempt is told until when a queue may take to answer it, for
    /// which even the last one has [`CONNECT_TIMEOUT`].
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
        let mut backoff = Backoff::new();
        while let Ok(live) = timeout_at(deadline, link.up()).await {
            let until = deadline.max(Instant::now() + CONNECT_TIMEOUT);
            let live = live.ok_or_else(|| link.ended())?;
            match attempt(live, until).await {
                Ok(done) => return Ok(done),
                Err(DeclareError::Setup(error)) => return Err(error),
                Err(DeclareError::Link(failure)) => last = failure,
            }
            let pause = backoff.next();
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
