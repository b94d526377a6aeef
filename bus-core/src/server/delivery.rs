//! The way of one delivery through the server: read, run, concluded, settled.

use super::{
    admission::Slot,
    job::{self, HeldJob},
    missed_inbox::MissedInboxes,
    queue_age::QueueAge,
    running::span,
    worked::{Runs, Worked},
};
use crate::{
    bus::BusInner,
    contract::{Fingerprint, MethodContract, ServiceContract},
    control::ControlLine,
    error::Fault,
    flight::Flights,
    job::WaitingRoom,
    message::Message,
    metric::MethodMetrics,
    partition,
    reply::ReplyStore,
    retry::Aside,
    signature::ServiceSignatures,
    trace,
    transport::{Delivery, Settled, Settler},
    work::{Begun, DeadLetters, Envelope, Redeliveries, RunEnd, RunState, is_repeated, unreadable},
};
use futures_util::{FutureExt, future::Either};
use std::{future::Future, sync::Arc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Takes the deliveries of one service to their end.
pub(super) struct RequestProcessor {
    pub(super) bus: Arc<BusInner>,
    pub(super) contract: &'static ServiceContract,
    /// Those of its methods.
    pub(super) fingerprints: Box<[Option<Fingerprint>]>,
    /// Without the namespace.
    pub(super) queue: String,
    pub(super) store: Arc<dyn ReplyStore>,
    pub(super) missed_inboxes: MissedInboxes,
    pub(super) dead_letters: DeadLetters,
    pub(super) redeliveries: Redeliveries,
    pub(super) cancel: CancellationToken,
    pub(super) metrics: Box<[MethodMetrics]>,
    /// Callers are told that requests may come together.
    pub(super) takes_bundles: bool,
    pub(super) queue_age: QueueAge,
    /// Open for as long as deliveries are taken.
    pub(super) control: Arc<ControlLine>,
    /// Where messages of jobs wait, if there are any.
    pub(super) jobs: Option<Arc<WaitingRoom>>,
    /// Where commands wait that were put off, if any may be.
    pub(super) aside: Option<Aside>,
    /// Where what becomes of calls is recorded.
    pub(super) flights: Flights,
    /// What it signs, and whom it believes.
    pub(super) signatures: ServiceSignatures,
}

impl RequestProcessor {
    /// Takes one delivery to its end.
    pub(super) fn process(
        self: Arc<Self>,
        slot: Slot,
        delivery: Delivery,
    ) -> impl Future<Output = ()> + Send {
        match self.job_of(&delivery.message) {
            None => Either::Left(self.take(slot, delivery, None).map(drop)),
            Some((jobs, method)) => {
                Either::Right(Box::pin(job::process(self, jobs, method, slot, delivery)))
            }
        }
    }

    /// The method of a message, if it is a job, and where messages of jobs wait.
    fn job_of(&self, message: &Message) -> Option<(Arc<WaitingRoom>, &'static MethodContract)> {
        let jobs = self.jobs.as_ref()?;
        let name = message.properties.kind.as_deref()?;
        let (_, method) = self.contract.method(name)?;
        (method.is_claimed() && method.job.is_some()).then(|| (Arc::clone(jobs), method))
    }

    /// Takes one delivery to its end; of a job that another worker runs the settler is what is left.
    pub(super) fn take(
        self: Arc<Self>,
        slot: Slot,
        delivery: Delivery,
        job: Option<Box<HeldJob>>,
    ) -> impl Future<Output = Option<Settler>> + Send {
        // Outside of the future, which would have a place for each before and after.
        let Delivery {
            message,
            redelivered,
            received,
            malformed,
            bundled,
            partition,
            settler,
        } = delivery;
        async move {
            let job = job.as_deref();
            let mut envelope = Envelope::read(&message, received, self.store.as_ref());
            envelope.reads_groups = bundled;
            envelope.was_started = job.is_some_and(|job| job.was_started);
            if let Some(refusal) = self.unfit(&message, malformed.as_deref(), partition, job) {
                envelope.refuse(refusal);
            }
            let seen_before = redelivered || is_repeated(&message) || envelope.was_started;
            self.note_taken(&message, &envelope, redelivered, seen_before);
            let seen = self.control.seen();
            if !seen.is_settled() {
                // Its caller may have seen nobody, and given it up.
                Box::pin(seen.again()).await;
            }
            let mut request = self.request(&mut envelope, &message, seen_before);
            if let (Ok(request), Some(job)) = (&mut request, job) {
                request.run = job.run();
            }
            let mut traced =
                trace::processing(&message, &envelope, &self.queue, request.as_mut().ok());
            let runs = request.as_ref().map_or_else(|_| Runs::default(), Runs::of);
            let _entered = request
                .as_ref()
                .ok()
                .and_then(|request| self.enter(envelope.id, request));
            let (answer, permit, begun) = match request {
                // Boxed, like all that comes after a first delivery.
                Ok(request) if redelivered => {
                    Box::pin(self.run_again(slot, request, &envelope, &message)).await
                }
                Ok(request) => {
                    let span = span(&request);
                    let running = self.run_in(slot, request, &envelope);
                    let (answer, permit) = running.instrument(span).await;
                    (answer, permit, Begun::default())
                }
                Err(fault) => {
                    drop(slot);
                    (fault.into(), None, Begun::default())
                }
            };
            let (end, abandoned) = match runs.run.take() {
                RunState::Ended(RunEnd::Elsewhere) if job.is_some() => return Some(settler),
                RunState::Ended(end) => {
                    drop(permit);
                    (end, None)
                }
                // It goes on, and keeps its permit.
                RunState::Abandoned(finished) => (RunEnd::Started, Some((finished, permit))),
            };
            let mut worked = Worked {
                processor: &self,
                message: &message,
                envelope: &envelope,
                is_malformed: malformed.is_some(),
                partition,
                job,
                seen_before,
                runs,
                begun,
                traced: &mut traced,
            };
            // Dropping the settler gives the message back.
            if worked.conclude(answer, end, abandoned).await {
                settler.settle(Settled::Ack);
            }
            None
        }
    }

    /// Why a message is not to be run, whatever it asks for.
    fn unfit(
        &self,
        message: &Message,
        malformed: Option<&str>,
        partition: Option<u16>,
        job: Option<&HeldJob>,
    ) -> Option<Fault> {
        malformed
            .map(unreadable)
            .or_else(|| job?.refusal())
            .or_else(|| partition::refusal(message, partition?, self.contract.partitions?))
    }
}
