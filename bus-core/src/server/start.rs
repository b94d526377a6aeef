//! Starting a service: its settings are checked, its queue declared, and all that works off a
//! delivery is put together.

use super::{
    Serve, Serving, admission::Admission, counting::metrics_of, delivery::RequestProcessor,
    dispatch::Dispatch, layer::ServerService, missed_inbox::MissedInboxes, queue_age::QueueAge,
};
use crate::{
    bus::BusInner,
    contract::{MethodContract, check_name},
    control::{AnswerRate, Answers, ControlLine, ServedCalls, ServedContract},
    error::SetupError,
    job::WaitingRoom,
    limits::{INSTANCE_TEXT_MAX, PREFETCH_MAX, RETURNS_MAX},
    partition::{self, Plan},
    presence::{Heartbeat, InstanceId, Profile, is_shown},
    retry::Aside,
    transport::{QueueSpec, Source},
    work::{Intake, Lifetime, Occupant, Redeliveries},
};
use std::{future::Future, mem, sync::Arc};

impl Serve {
    fn check(&self) -> Result<(), SetupError> {
        let refuse = |setting: &str, reason: String| Err(SetupError::setting(setting, reason));
        let (concurrency, prefetch) = (self.concurrency, self.prefetch);
        if concurrency == 0 {
            return refuse(
                "concurrency",
                "0 handlers would serve nobody, set at least 1".into(),
            );
        }
        if prefetch < concurrency {
            let reason = format!(
                "{prefetch} deliveries can't keep {concurrency} handlers busy, set at least as many"
            );
            return refuse("prefetch", reason);
        }
        if prefetch > PREFETCH_MAX {
            return refuse(
                "prefetch",
                format!("{prefetch} is more than {PREFETCH_MAX}"),
            );
        }
        if self.queue_length_max == Some(0) {
            return refuse(
                "queue_length_max",
                "a queue of 0 messages takes none".into(),
            );
        }
        let is_one = |version: &str| !version.is_empty() && is_shown(version);
        if !self.version.as_deref().is_none_or(is_one) {
            let reason =
                format!("1 to {INSTANCE_TEXT_MAX} bytes without control characters are allowed");
            return refuse("version", reason);
        }
        self.signatures.check_service(self.service.contract())?;
        check_name("queue", &self.queue)
    }

    pub(super) async fn start(mut self) -> Result<Serving, SetupError> {
        let bus = self.bus.inner();
        self.signatures = mem::take(&mut self.signatures).of_bus(&bus.signatures);
        self.check()?;
        let contract = self.service.contract();
        let queue = self.bus.name(&self.queue);
        let has = |what: fn(&MethodContract) -> bool| contract.methods.iter().any(what);
        let jobs = has(|method| method.job.is_some())
            .then(|| Arc::new(WaitingRoom::new(&bus, &queue, &self.signatures)));
        let aside = has(|method| method.retry.is_some()).then(|| Aside::of(&bus, &queue));
        let source = Source {
            queue: QueueSpec {
                queue_type: self.queue_type,
                length_max: self.queue_length_max,
                ..QueueSpec::new(queue).returns_max(RETURNS_MAX)
            },
            prefetch: self.prefetch,
            bindings: Vec::new(),
        };
        let id = InstanceId::new();
        let (mut intake, dead_letters) = match contract.partitions {
            None => {
                let occupant = Occupant::Service(contract);
                let opening = Intake::open(&bus, &occupant, source, self.drain_within);
                let (intake, dead_letters) = opening.await?;
                // Also of callers that were told otherwise: by another process, or before.
                (intake.take_bundles(), dead_letters)
            }
            Some(partitions) => {
                let plan = Plan {
                    contract,
                    partitions,
                    queue: source.queue,
                    name: self.queue.clone(),
                    me: id,
                    prefetch: source.prefetch,
                    drain_within: self.drain_within,
                };
                Box::pin(partition::open(&bus, plan)).await?
            }
        };
        if let Some(jobs) = &jobs {
            let jobs = Arc::clone(jobs);
            intake = intake.put_off(move |delivery| {
                let jobs = Arc::clone(&jobs);
                async move { jobs.put_off(delivery).await }
            });
        }
        let control = self.announce(&bus, id, intake.lifetime()).await;
        tracing::info!(service = contract.name, queue = self.queue, "serving");
        let flights = bus.flights.of_instance(id);
        let mut pipeline = ServerService::new(Dispatch {
            service: flights.around(self.service),
            flights: flights.clone(),
            queue: self.queue.as_str().into(),
            store: Arc::clone(&bus.replies),
            leases: Arc::clone(&bus.leases),
            leaving: intake.cancel(),
            running_jobs: Arc::clone(control.running_jobs()),
            seen: Arc::clone(control.seen()),
        });
        for layer in self.layers {
            pipeline = layer(pipeline);
        }
        if self.is_within_bus_layers {
            pipeline = bus.server_layers.wrap(pipeline);
        }
        let admission = Admission::new(pipeline, self.concurrency, self.shed_load);
        let processor = Arc::new(RequestProcessor {
            bus: Arc::clone(&bus),
            contract,
            fingerprints: contract.stated_fingerprints(),
            store: Arc::clone(&bus.replies),
            missed_inboxes: MissedInboxes::new(contract.name, Arc::clone(&bus.replies)),
            dead_letters: dead_letters.without(self.secret_metadata),
            redeliveries: Redeliveries::new(
                Arc::clone(&bus.replies),
                Arc::clone(&bus.leases),
                self.queue.clone(),
            ),
            queue: self.queue,
            cancel: intake.cancel(),
            metrics: metrics_of(contract),
            takes_bundles: self.bundles && contract.partitions.is_none(),
            queue_age: QueueAge::new(contract),
            control: Arc::new(control),
            jobs,
            aside,
            flights,
            signatures: self.signatures,
        });
        // So that the first one is an increase.
        processor.redelivered().increment(0);
        Ok(intake.start(
            move || admission.clone().slot(),
            move |slot, delivery| Arc::clone(&processor).process(slot, delivery),
        ))
    }

    /// Has the instance hear what is said over the control line, and then be seen.
    fn announce(
        &self,
        bus: &Arc<BusInner>,
        id: InstanceId,
        lifetime: Lifetime,
    ) -> impl Future<Output = ControlLine> + Send + use<> {
        let contract = self.service.contract();
        let profile = Arc::new(Profile::new(
            id,
            contract,
            self.version.clone(),
            &bus.app_id,
            lifetime,
        ));
        let answers = Answers {
            store: Arc::clone(&bus.replies),
            profile: Arc::clone(&profile),
            served: Arc::new(ServedCalls::new(contract)),
            watches: Arc::default(),
            running_jobs: Arc::default(),
            contract: ServedContract::new(contract),
            may_be_drained: self.allow_drain,
            rate: AnswerRate::default(),
        };
        let (store, bus, queue) = (
            Arc::clone(&bus.replies),
            self.bus.clone(),
            self.queue.clone(),
        );
        async move {
            let control = ControlLine::open(&bus, &queue, answers).await;
            // Who is seen can be asked.
            Heartbeat::start(store, &queue, profile, Arc::clone(control.calls())).await;
            control
        }
    }
}
