//! A command that is put aside: its message is published again, to wait on the broker.

use super::Retries;
use crate::{
    bus::BusInner,
    call_id::CallId,
    contract::unix_time,
    delayed::{Delayed, DelayedKind, DelayedNotes},
    limits::RETRY_ASIDE_WITHIN,
    message::{Message, Text},
    transport::{Delay, Outgoing, Transport, Verdict},
    wire::headers,
    work::{once_more, word_on},
};
use std::sync::Arc;
use tokio::time::{Instant, sleep};

/// Pause before a message that the broker did not take is published again.
const TRY_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

/// What came of putting a message aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// The broker has it.
    Done,
    /// It has not.
    Refused,
    /// It may have it: then it comes again, whatever is said of it now.
    Unsure,
}

/// The place where the commands of one queue wait for their next run.
#[derive(Debug, Clone)]
pub(crate) struct Aside {
    transport: Arc<dyn Transport>,
    /// The way that messages of this namespace wait on.
    way: Text,
    /// On the broker.
    queue: Text,
    /// The same without the namespace.
    place: Text,
    notes: DelayedNotes,
}

impl Aside {
    /// That of `queue`, its name on the broker.
    pub(crate) fn of(bus: &BusInner, queue: &str) -> Self {
        Self {
            transport: Arc::clone(&bus.transport),
            way: bus.delay_until(Instant::now()).way,
            queue: queue.into(),
            place: bus.name_within(queue).into(),
            notes: bus.delayed.clone(),
        }
    }

    /// Publishes a message again, which is due then; `id` is its name in the log. While the broker is
    /// away that is tried again, for as long as a run can be of use.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the message may wait on the broker. Its delivery is not
    /// acknowledged yet, and what is run twice is run under one claim.
    pub(crate) async fn put(
        &self,
        message: Message,
        id: CallId,
        retries: &Retries,
        due: Instant,
    ) -> Put {
        let message = self.again(message, retries);
        let mut failed = Put::Refused;
        let until = Instant::now() + RETRY_ASIDE_WITHIN;
        let until = retries.until().map_or(until, |by| by.min(until));
        loop {
            let verdict = self.publish(&message, due, until).await;
            let away = match &verdict {
                Verdict::Confirmed => {
                    self.note(&message, id, due);
                    return Put::Done;
                }
                // A second copy is recognised by its claim.
                Verdict::Lost => {
                    failed = Put::Unsure;
                    true
                }
                Verdict::NotWritten | Verdict::Busy => true,
                _ => false,
            };
            tracing::warn!(%id, ?verdict, "what was put off was not put aside");
            if !away || Instant::now() + TRY_AGAIN >= until {
                return failed;
            }
            sleep(TRY_AGAIN).await;
        }
    }

    /// Has it listed until it is due.
    fn note(&self, message: &Message, id: CallId, due: Instant) {
        self.notes.note(&Delayed {
            id,
            kind: DelayedKind::Retry,
            place: &self.place,
            service: "",
            name: message.properties.kind.as_deref().unwrap_or_default(),
            due: unix_time() + due.saturating_duration_since(Instant::now()),
            keyed: message
                .properties
                .header(headers::IDEMPOTENCY_KEY)
                .is_some(),
            ticket: None,
        });
    }

    async fn publish(&self, message: &Message, due: Instant, until: Instant) -> Verdict {
        let outgoing = Outgoing::new(message.clone()).deadline(until);
        let delay = Delay::until(due, self.way.clone());
        word_on(self.transport.publish_at(outgoing, delay)).await
    }

    /// The message of the next run: the same call, of the same caller, until the same moment.
    fn again(&self, message: Message, retries: &Retries) -> Message {
        let mut message = once_more(message, &self.queue);
        let properties = &mut message.properties;
        retries.note_in(properties);
        // It was delivered, and run.
        properties.set_header(headers::REPEATED, headers::TRUE);
        message
    }
}
