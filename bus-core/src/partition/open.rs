//! The service's end: all partitions are consumed, and what may be run of them comes as one stream.

use super::{
    deliveries::PartitionDeliveries,
    member::Partition,
    members::{self, Members},
    partition_queue,
};
use crate::{
    bus::BusInner,
    contract::ServiceContract,
    error::SetupError,
    limits::{HAND_OVER_EVERY, RETRY_HELD_MAX},
    presence::InstanceId,
    transport::{QueueSpec, Source},
    work::{DeadLetters, Intake, Occupant},
};
use futures_util::future::try_join_all;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What is to be served by partitions.
pub(crate) struct Plan {
    pub(crate) contract: &'static ServiceContract,
    pub(crate) partitions: u16,
    /// The queue that the partitions are of, as it would be declared.
    pub(crate) queue: QueueSpec,
    /// Its name without the namespace.
    pub(crate) name: String,
    pub(crate) me: InstanceId,
    /// Deliveries that are held of each partition.
    pub(crate) prefetch: u16,
    pub(crate) drain_within: Duration,
}

/// Consumes all partitions, and shares them with the other members from then on.
pub(crate) async fn open(bus: &BusInner, plan: Plan) -> Result<(Intake, DeadLetters), SetupError> {
    check(plan.contract)?;
    let occupant = Occupant::Service(plan.contract);
    let queues: Vec<_> = (0..plan.partitions)
        .map(|partition| partition_queue(&plan.queue.name, partition))
        .collect();
    let all = [&plan.queue.name].into_iter().chain(&queues);
    let occupancies = all.map(|queue| bus.occupied.occupy(queue, &occupant));
    let occupancies = occupancies.collect::<Result<Vec<_>, _>>()?;
    refuse_whole(bus, &plan.queue.name).await?;
    let dead_letters = DeadLetters::declare(bus, &plan.queue).await?;
    let source = |queue: &String| {
        let queue = QueueSpec {
            name: queue.clone(),
            ..plan.queue.clone()
        };
        Source::new(queue.single_active(), plan.prefetch)
    };
    let sources: Vec<_> = queues.iter().map(source).collect();
    let consumed = sources
        .iter()
        .map(|source| bus.transport.consume(source.clone()));
    let consumed = try_join_all(consumed).await?;

    let stop = CancellationToken::new();
    let (ready, ready_to_run) = mpsc::unbounded_channel();
    let (members, known) = watch::channel(Members::default());
    let beside = TaskTracker::new();
    for ((number, source), deliveries) in (0..).zip(sources).zip(consumed) {
        let partition = Partition {
            transport: Arc::clone(&bus.transport),
            source,
            number,
            ready: ready.clone(),
            members: known.clone(),
            me: plan.me,
            stop: stop.clone(),
            behind: None,
            not_before: Instant::now(),
            pause: HAND_OVER_EVERY,
        };
        beside.spawn(partition.run(deliveries));
    }
    let store = Arc::clone(&bus.replies);
    let watching = members::watch(store, plan.name, plan.partitions, members);
    beside.spawn(stop.clone().run_until_cancelled_owned(watching));
    beside.close();
    let deliveries = PartitionDeliveries {
        ready: ready_to_run,
        stop: Some(stop.drop_guard()),
    };
    let queue = plan.queue.name;
    let deliveries = Box::new(deliveries);
    let intake = Intake::of(
        bus,
        &occupant,
        queue,
        occupancies,
        deliveries,
        plan.drain_within,
    );
    // Its end waits until the broker has all that was not done.
    intake.lifetime().spawn(async move { beside.wait().await });
    Ok((intake, dead_letters))
}

/// What the macro refuses, of a contract that was written by hand.
fn check(contract: &ServiceContract) -> Result<(), SetupError> {
    for method in contract.methods {
        let reason = match method.retry {
            _ if method.job.is_some() => "it is a job, which runs beside what comes after it",
            Some(policy) if policy.max_delay > RETRY_HELD_MAX => {
                "it may be put off for longer than it is held"
            }
            _ => continue,
        };
        let what = format!("partitions: method {:?}", method.name);
        return Err(SetupError::setting(what, reason));
    }
    Ok(())
}

/// Refuses partitions of a queue that is served as a whole, or was: what is in it, or comes to it,
/// would have no order with what comes to them.
async fn refuse_whole(bus: &BusInner, queue: &str) -> Result<(), SetupError> {
    match bus.transport.inspect(queue).await {
        Ok(Some(_)) => Err(SetupError::Topology {
            what: format!("queue \"{queue}\""),
            reason: "it exists, and the contract has partitions: what comes to it would be out of \
                     order. Give the contract another queue, or delete this one when it is empty"
                .to_owned(),
        }),
        _ => Ok(()),
    }
}
