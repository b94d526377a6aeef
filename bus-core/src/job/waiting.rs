//! Messages of a service with jobs that wait with the broker, outside of its queue: those of jobs
//! that run, and those that no handler has been free for.

use super::Held;
use crate::{
    bus::BusInner,
    limits::{CONFIRM_TIMEOUT, JOB_HELD_FOR, JOB_LOOKED_AT_EVERY},
    message::{Message, Text},
    signature::ServiceSignatures,
    transport::{Delivery, Outgoing, Settled, Verdict},
    wire::headers,
    work::{Envelope, is_redriven, is_repeated, once_more, word_on},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// The pause before a message that the broker did not take is published again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What the message of a job says when it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It was started.
    Started,
    /// It was started, and its record was not there.
    Missed,
    /// No more than before.
    Unjudged,
}

/// The waiting messages of one service.
#[derive(Debug)]
pub(crate) struct WaitingRoom {
    bus: Arc<BusInner>,
    /// On the broker.
    queue: Text,
    /// The same without the namespace.
    place: Text,
    signatures: ServiceSignatures,
    is_closed: AtomicBool,
}

impl WaitingRoom {
    /// Those that come back to `queue`, a name on the broker.
    pub(crate) fn new(bus: &Arc<BusInner>, queue: &str, signatures: &ServiceSignatures) -> Self {
        Self {
            bus: Arc::clone(bus),
            queue: queue.into(),
            place: bus.name_within(queue).into(),
            signatures: signatures.clone(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Has the broker keep the message of a job that runs, once it was held here for long. One that
    /// waits to be started is held on: its message would say what is not so. Then it is polled to no
    /// end.
    pub(crate) async fn hand_back(&self, message: &Message, held: &Held, starts: &Notify) {
        tokio::join!(sleep(JOB_HELD_FOR), starts.notified());
        if self.keep_started(message).await {
            held.hand_back();
        }
        std::future::pending().await
    }

    /// Has the broker keep the message of a job, until it is to be looked at again; `false` if it
    /// can't.
    pub(crate) async fn keep_again(
        &self,
        message: &Message,
        envelope: &Envelope,
        again: Again,
    ) -> bool {
        match again {
            Again::Started => self.keep_started(message).await,
            Again::Missed => {
                let mut missed = self.started(message);
                missed
                    .properties
                    .set_header(headers::JOB_MISSED, headers::TRUE);
                self.keep_signed(missed).await
            }
            Again::Unjudged => self.keep(&self.unstarted(message, envelope, true)).await,
        }
    }

    /// [`keep_again`](Self::keep_again) of a job that was started.
    pub(crate) async fn keep_started(&self, message: &Message) -> bool {
        self.keep_signed(self.started(message)).await
    }

    async fn keep_signed(&self, mut message: Message) -> bool {
        self.signatures.sign_job(&self.place, &mut message);
        self.keep(&message).await
    }

    /// Has the broker keep a message that no handler was free for, and settles it.
    pub(crate) async fn put_off(&self, delivery: Delivery) {
        let store = self.bus.replies.as_ref();
        let envelope = Envelope::read(&delivery.message, delivery.received, store);
        let message = &delivery.message;
        let was_seen = delivery.redelivered || is_repeated(message);
        // Whoever waited for it does no more. What may have been begun, or was put back, is kept for
        // whoever says what became of it.
        let is_over =
            envelope.is_late() && envelope.deadline.is_some() && !was_seen && !is_redriven(message);
        if is_over
            || self
                .keep(&self.unstarted(message, &envelope, was_seen))
                .await
        {
            delivery.settler.settle(Settled::Ack);
        }
    }

    /// Publishes a message until the broker has it; `false` if it takes none such.
    async fn keep(&self, message: &Message) -> bool {
        while !self.is_closed.load(Ordering::Acquire) {
            let delay = self.bus.delay_until(Instant::now() + JOB_LOOKED_AT_EVERY);
            let outgoing =
                Outgoing::new(message.clone()).deadline(Instant::now() + CONFIRM_TIMEOUT);
            match word_on(self.bus.transport.publish_at(outgoing, delay)).await {
                Verdict::Confirmed => return true,
                Verdict::Denied(reason) | Verdict::Unacceptable(reason) => {
                    tracing::warn!(
                        queue = %self.queue,
                        reason = %reason,
                        "messages can't be delayed: those of jobs are held until they are done, \
                         which RabbitMQ ends after 30 minutes"
                    );
                    self.is_closed.store(true, Ordering::Release);
                }
                verdict => {
                    tracing::debug!(queue = %self.queue, ?verdict, "the message of a job is published again");
                    sleep(AGAIN_AFTER).await;
                }
            }
        }
        false
    }

    /// The message of a job that was started.
    fn started(&self, message: &Message) -> Message {
        let waits = message.properties.reply_to.is_some();
        let mut again = once_more(message.clone(), &self.queue);
        let properties = &mut again.properties;
        properties.retain_headers(|name| match name {
            // They say when it is no longer to be started.
            headers::DEADLINE | headers::DUE => waits,
            // What was said of it before, by others too, is not what is said and signed here.
            name => !headers::is_of_jobs(name),
        });
        properties.set_header(headers::REPEATED, headers::TRUE);
        properties.set_header(headers::JOB_STARTED, headers::TRUE);
        again
    }

    /// The message of a request of which it is not known here that it was started: its time is over as
    /// if it had not been kept.
    fn unstarted(&self, message: &Message, envelope: &Envelope, was_seen: bool) -> Message {
        let mut again = once_more(message.clone(), &self.queue);
        let properties = &mut again.properties;
        if was_seen {
            // The broker takes it for a new one.
            properties.set_header(headers::REPEATED, headers::TRUE);
        }
        // It has no time to live while it waits.
        envelope.note_start_by(properties);
        again
    }
}
