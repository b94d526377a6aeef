//! The way of a job's delivery: a look whether somebody runs it, if it came before; and while it runs
//! the broker gets its message once more.

use super::{admission::Slot, delivery::RequestProcessor};
use crate::{
    contract::MethodContract,
    error::{Fault, FaultCode},
    job::{Again, Held, Look, WaitingRoom},
    limits::JOB_LOOKED_AT_EVERY,
    transport::{Delivery, Settled, Settler},
    wire::headers,
    work::{Envelope, Run, command_key, is_repeated},
};
use bytes::Bytes;
use std::{pin::pin, sync::Arc};
use tokio::{sync::Notify, time::sleep};

/// A job whose delivery is worked off.
pub(super) struct HeldJob {
    held: Arc<Held>,
    /// Notified when it is started.
    starts: Arc<Notify>,
    /// Its message says that it was started.
    pub(super) was_started: bool,
    /// Nothing is known of it, although it was started.
    is_forgotten: bool,
}

impl HeldJob {
    /// Its run, which says when it starts.
    pub(super) fn run(&self) -> Run {
        Run::telling(Arc::clone(&self.starts))
    }

    /// The fault of a job that is not to be started.
    pub(super) fn refusal(&self) -> Option<Fault> {
        self.is_forgotten.then(|| {
            let text = "it was started, and its record is gone: it may be done, or half done";
            Fault::new(FaultCode::Interrupted, text)
        })
    }

    /// `true` if the broker has its message once more.
    pub(super) fn is_handed_back(&self) -> bool {
        self.held.is_handed_back()
    }
}

/// What is known of a job before its record is looked at.
struct Seen {
    was_started: bool,
    /// Its record was not there at the last look.
    was_missed: bool,
    /// It is a copy of a request whose time is over.
    is_sent_late: bool,
}

/// What is to be done about the delivery of a job.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// It is left to whoever runs it, and looked at again.
    Keep(Again),
    /// It has ended, and its caller is told so once more.
    Conclude(Bytes),
    /// What became of it is not known.
    Refuse,
    /// It is run, or answered from the record, as any command.
    Take,
}

impl Seen {
    fn then(&self, look: Look) -> Next {
        match look {
            Look::Runs => Next::Keep(Again::Started),
            // A store that comes back without its data has not missed it before.
            Look::Unanswered if self.was_started => Next::Keep(Again::Started),
            Look::Unanswered => Next::Keep(Again::Unjudged),
            Look::Open if self.is_sent_late => Next::Keep(Again::Unjudged),
            Look::Done(frame) if self.was_started => Next::Conclude(frame),
            // A store that has lost its data is told again by a worker that lives, until the next
            // look.
            Look::Unknown if self.was_started && !self.was_missed => Next::Keep(Again::Missed),
            Look::Unknown if self.was_started => Next::Refuse,
            Look::Open | Look::Done(_) | Look::Unknown => Next::Take,
        }
    }
}

/// Takes the delivery of a job to its end, or leaves it to another worker and looks again later.
pub(super) async fn process(
    processor: Arc<RequestProcessor>,
    jobs: Arc<WaitingRoom>,
    method: &'static MethodContract,
    slot: Slot,
    mut delivery: Delivery,
) {
    let message = delivery.message.clone();
    let store = Arc::clone(&processor.store);
    let mut envelope = Envelope::read(&message, delivery.received, store.as_ref());
    let properties = &message.properties;
    let key = properties.header(headers::IDEMPOTENCY_KEY);
    let (queue, id) = (&processor.queue, envelope.id);
    let claim_key = command_key(queue, method.name, key, id);
    let signatures = &processor.signatures;
    let is_marked = |mark| properties.header(mark) == Some(headers::TRUE);
    let was_started =
        is_marked(headers::JOB_STARTED) && signatures.believes_of_job(queue, &message);
    envelope.was_started = was_started;
    // What is not to be believed has no job looked at, told of or kept: it is refused.
    let is_believed = signatures.check(queue, &message, &mut envelope).is_ok();
    let came_before = was_started || delivery.redelivered || is_repeated(&message);
    // Whoever has seen a signed request can send it again. When its time is over that is no word on
    // the job, which goes on by the message that was delivered, or is kept.
    let is_sent_late =
        envelope.is_signed && envelope.is_late() && !was_started && !delivery.redelivered;
    let mut is_forgotten = false;
    if is_believed && (came_before || is_sent_late) {
        let seen = Seen {
            was_started,
            was_missed: is_marked(headers::JOB_MISSED),
            is_sent_late,
        };
        match seen.then(Look::at(store.as_ref(), &claim_key).await) {
            Next::Keep(again) => {
                drop(slot);
                let is_kept = jobs.keep_again(&message, &envelope, again).await;
                return settle_if_kept(is_kept, delivery.settler).await;
            }
            Next::Conclude(frame) => {
                drop(slot);
                let concluding = processor.conclude(frame, message, &envelope, delivery.settler);
                return concluding.await;
            }
            Next::Refuse => is_forgotten = true,
            Next::Take => {}
        }
    }
    // Each delivery of one without a name is another job.
    let is_kept = is_believed && (envelope.is_named || key.is_some());
    let (held, settler) = Held::over(delivery.settler);
    delivery.settler = settler;
    let starts = Arc::new(Notify::new());
    let job = HeldJob {
        held: Arc::clone(&held),
        starts: Arc::clone(&starts),
        was_started,
        is_forgotten,
    };
    let mut taking = pin!(processor.take(slot, delivery, Some(Box::new(job))));
    let left = tokio::select! {
        biased;
        left = &mut taking => left,
        () = jobs.hand_back(&message, &held, &starts), if is_kept => None,
    };
    if let Some(settler) = left.filter(|_| !held.is_handed_back()) {
        settle_if_kept(jobs.keep_started(&message).await, settler).await;
    }
}

/// Settles a delivery whose message the broker has once more; else it is given back when it is to be
/// looked at again, for it comes at once.
async fn settle_if_kept(is_kept: bool, settler: Settler) {
    if is_kept {
        settler.settle(Settled::Ack);
    } else {
        sleep(JOB_LOOKED_AT_EVERY).await;
    }
}
