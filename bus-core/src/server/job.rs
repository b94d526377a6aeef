//! The way of a job's delivery: a look whether somebody runs it, if it came before; and while it runs
//! the broker gets its message once more.

use super::{admission::Slot, delivery::RequestProcessor};
use crate::{
    contract::MethodContract,
    error::{Fault, FaultCode},
    job::{Held, Look, WaitingRoom},
    message::Properties,
    transport::{Delivery, Settled},
    wire::headers,
    work::{Envelope, command_key, is_repeated},
};
use std::{pin::pin, sync::Arc};

/// A job whose delivery is worked off.
pub(super) struct HeldJob {
    held: Arc<Held>,
    /// Nothing is known of it, although it was started.
    is_forgotten: bool,
}

impl HeldJob {
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
    let envelope = Envelope::read(&message, delivery.received, store.as_ref());
    let properties = &message.properties;
    let key = properties.header(headers::IDEMPOTENCY_KEY);
    let (queue, id) = (&processor.queue, envelope.id);
    let claim_key = command_key(queue, method.name, key, id);
    let was_started = was_started(properties);
    let mut is_forgotten = false;
    if was_started || delivery.redelivered || is_repeated(&message) {
        match Look::at(store.as_ref(), &claim_key).await {
            Look::Runs => {
                drop(slot);
                return leave(&jobs, delivery).await;
            }
            Look::Done(frame) if was_started => {
                drop(slot);
                let concluding = processor.conclude(frame, message, &envelope, delivery.settler);
                return concluding.await;
            }
            Look::Unknown => is_forgotten = was_started,
            Look::Open | Look::Done(_) => {}
        }
    }
    // Each delivery of one without a name is another job.
    let has_name = envelope.is_named || key.is_some();
    let (held, settler) = Held::over(delivery.settler);
    delivery.settler = settler;
    let job = HeldJob {
        held: Arc::clone(&held),
        is_forgotten,
    };
    let mut taking = pin!(processor.take(slot, delivery, Some(Box::new(job))));
    let left = tokio::select! {
        biased;
        left = &mut taking => left,
        () = jobs.hand_back(&message, &held), if has_name => None,
    };
    if let Some(settler) = left
        && jobs.keep_started(&message).await
    {
        settler.settle(Settled::Ack);
    }
}

/// Leaves a job to whoever runs it.
async fn leave(jobs: &WaitingRoom, delivery: Delivery) {
    if jobs.keep_started(&delivery.message).await {
        delivery.settler.settle(Settled::Ack);
    }
}

/// `true` of a message that the broker was given when its job had been started.
fn was_started(properties: &Properties) -> bool {
    properties.header(headers::JOB_STARTED) == Some(headers::TRUE)
}
