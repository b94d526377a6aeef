//! One message that is to be published: what is asked for, what is ready to be written, and the
//! write itself.

use super::complaint::Target;
use crate::{
    call_id::CallId,
    message::{Properties, Text},
    transport::{
        Outgoing, Slip, Verdict,
        amqp::{
            convert::{Encoded, encode},
            delay::routing_key,
        },
    },
};
use lapin::{Confirmation, options::BasicPublishOptions};
use std::{collections::VecDeque, sync::Arc};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

/// A message, its slip, and its permit: one of [`UNCONFIRMED_MAX`](crate::limits::UNCONFIRMED_MAX).
pub(super) struct Job {
    pub(super) outgoing: Outgoing,
    /// It waits on the broker first.
    pub(super) later: Option<Later>,
    pub(super) slip: Slip,
    pub(super) permit: OwnedSemaphorePermit,
}

/// When a message is due, and where it goes then. The way it has by its address leads through
/// waiting, for as long as is left when it is written.
pub(crate) struct Later {
    pub(crate) due: Instant,
    pub(crate) destination: Text,
}

/// A message that can be written, and is about to be.
pub(super) struct Prepared {
    /// What it is known by when it is returned: each has such.
    pub(super) id: Text,
    pub(super) target: Target,
    pub(super) encoded: Encoded,
    pub(super) mandatory: bool,
    pub(super) slip: Slip,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Job {
    /// Gives a verdict on a message that is not written.
    pub(super) fn refuse(self, verdict: Verdict) {
        self.slip.fill(verdict);
    }

    /// `true` once it is not worth writing any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let deadline = self.outgoing.deadline;
        self.slip.abandoned() || deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Makes the message ready to be written, with the time to live that is left by now; gives the
    /// verdict and `None` if it was withdrawn, is past its deadline or does not fit into AMQP.
    pub(super) fn prepare(self) -> Option<Prepared> {
        let Self {
            mut outgoing,
            later,
            slip,
            permit,
        } = self;
        let properties = &mut outgoing.message.properties;
        if let Some(deadline) = outgoing.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                slip.fill(Verdict::NotWritten);
                return None;
            }
            properties.expiration = Some(left);
        }
        if let Some(later) = later {
            // It would expire on its way.
            properties.expiration = None;
            let left = later.due.saturating_duration_since(Instant::now());
            outgoing.message.routing_key = routing_key(left, &later.destination).into();
        }
        let properties = &mut outgoing.message.properties;
        let id = match id_of(properties) {
            Some(id) => id.clone(),
            None => {
                let id = CallId::new().to_text();
                properties.message_id.insert(id).clone()
            }
        };
        let target = Target::of(&outgoing.message);
        let Ok(encoded) = encode(outgoing.message) else {
            tracing::error!("a message was not sent: a name or property is too long for AMQP");
            slip.fill(Verdict::NotWritten);
            return None;
        };
        if slip.abandoned() || !slip.begin_write() {
            slip.fill(Verdict::NotWritten);
            return None;
        }
        Some(Prepared {
            id,
            target,
            encoded,
            mandatory: outgoing.mandatory,
            slip,
            permit,
        })
    }
}

/// Moves what `matches` out of `jobs`; the others keep their order.
pub(super) fn drain_queue(
    jobs: &mut VecDeque<Job>,
    matches: impl Fn(&Job) -> bool,
    taken: &mut Vec<Job>,
) {
    for job in std::mem::take(jobs) {
        if matches(&job) {
            taken.push(job);
        } else {
            jobs.push_back(job);
        }
    }
}

/// Publishes, and waits for the confirm. Only the message's first bytes are on their way when this
/// was polled once, but in their order: lapin allots the delivery tag and queues the frames in the
/// first poll, which happens in the one task that owns the channel if the channel has confirms.
pub(super) async fn write(
    channel: Arc<lapin::Channel>,
    message: Encoded,
    mandatory: bool,
) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions {
        mandatory,
        immediate: false,
    };
    channel
        .basic_publish(
            message.exchange,
            message.routing_key,
            options,
            &message.body,
            message.properties,
        )
        .await?
        .await
}

/// What a message is known by when it is returned: its `message_id`, or else its `correlation_id`,
/// which is enough for a call. [`Job::prepare`] sees to it that there is one.
pub(super) fn id_of(properties: &Properties) -> Option<&Text> {
    let id = properties.message_id.as_ref();
    id.or(properties.correlation_id.as_ref())
}

/// The same, of a message that was returned.
pub(super) fn id_of_returned(returned: &lapin::message::BasicReturnMessage) -> Option<Text> {
    let properties = &returned.delivery.properties;
    let id = properties.message_id().as_ref();
    let id = id.or(properties.correlation_id().as_ref())?;
    Some(id.as_str().into())
}
