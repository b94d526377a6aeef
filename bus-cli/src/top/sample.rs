//! One look at everything, and what changed between two.

use crate::failure::Failure;
use futures_util::{StreamExt as _, stream};
use replybus::{Bus, presence::InstanceId};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// Queues that are looked at a time.
const AT_ONCE: usize = 16;

/// How long an instance may take to say what it did.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);

/// All queues at a moment.
pub(super) struct Sample {
    at: Instant,
    queues: Vec<Queue>,
}

struct Queue {
    name: String,
    instances: usize,
    in_flight: u64,
    /// By instance, served and failed since it was started.
    counts: BTreeMap<InstanceId, (u64, u64)>,
    waiting: u64,
    consumers: u64,
    dead: u64,
}

/// What is shown of a queue.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) queue: String,
    pub(super) instances: usize,
    /// A second.
    pub(super) calls: f64,
    /// A second.
    pub(super) failures: f64,
    pub(super) in_flight: u64,
    pub(super) waiting: u64,
    pub(super) consumers: u64,
    pub(super) dead: u64,
}

impl Sample {
    pub(super) async fn take(bus: &Bus) -> Result<Self, Failure> {
        let services = bus.services().await;
        let services =
            services.map_err(|error| Failure::because("services are not known", error))?;
        let at = Instant::now();
        let queues = stream::iter(services)
            .map(|served| async move {
                let instances = served.instances.len();
                look(bus, served.queue, instances).await
            })
            .buffered(AT_ONCE);
        Ok(Self {
            at,
            queues: queues.collect().await,
        })
    }

    /// What happened since an earlier look.
    pub(super) fn since(&self, before: &Self) -> Vec<Row> {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(1e-3);
        let rows = self.queues.iter().map(|queue| {
            let earlier = before
                .queues
                .iter()
                .find(|earlier| earlier.name == queue.name);
            let (mut calls, mut failures) = (0, 0);
            for (instance, (served, failed)) in &queue.counts {
                // One that is new has done all of it since, as far as anybody saw.
                let known = earlier.and_then(|earlier| earlier.counts.get(instance));
                let (served_before, failed_before) = known.copied().unwrap_or_default();
                let new = failed.saturating_sub(failed_before);
                calls += served.saturating_sub(served_before) + new;
                failures += new;
            }
            #[expect(clippy::cast_precision_loss, reason = "rates for people")]
            let rate = |count: u64| count as f64 / seconds;
            Row {
                queue: queue.name.clone(),
                instances: queue.instances,
                calls: rate(calls),
                failures: rate(failures),
                in_flight: queue.in_flight,
                waiting: queue.waiting,
                consumers: queue.consumers,
                dead: queue.dead,
            }
        });
        rows.collect()
    }
}

async fn look(bus: &Bus, name: String, instances: usize) -> Queue {
    let control = bus.control(&name).within(ANSWERS_WITHIN);
    let dead = format!("{name}.dead");
    let (stats, state, dead) =
        tokio::join!(control.stats(), bus.inspect(&name), bus.inspect(&dead));
    // What does not answer now is shown as nothing, and asked again.
    let stats = stats.unwrap_or_default();
    let (state, dead) = (state.ok().flatten(), dead.ok().flatten());
    Queue {
        name,
        instances,
        in_flight: stats.iter().map(|of| of.in_flight).sum(),
        counts: stats
            .iter()
            .map(|of| {
                let methods = of.methods.values();
                let sums = methods.fold((0_u64, 0_u64), |(served, failed), method| {
                    (
                        served.saturating_add(method.served),
                        failed.saturating_add(method.failed),
                    )
                });
                (of.instance, sums)
            })
            .collect(),
        waiting: state.map_or(0, |state| state.waiting),
        consumers: state.map_or(0, |state| state.consumers),
        dead: dead.map_or(0, |state| state.waiting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, counts: &[(u8, u64, u64)]) -> Sample {
        let of = |(id, served, failed): &(u8, u64, u64)| {
            (InstanceId::from_bytes([*id; 16]), (*served, *failed))
        };
        Sample {
            at,
            queues: vec![Queue {
                name: "q".into(),
                instances: counts.len(),
                in_flight: 0,
                counts: counts.iter().map(of).collect(),
                waiting: 0,
                consumers: 0,
                dead: 0,
            }],
        }
    }

    #[test]
    fn rates_are_of_what_each_instance_did_since_and_never_negative() {
        let at = Instant::now();
        let before = sample(at, &[(1, 100, 10), (2, 50, 0)]);
        let two_later = at + Duration::from_secs(2);
        // The first was restarted as the third.
        let after = sample(two_later, &[(2, 60, 4), (3, 6, 0)]);
        let [row] = &after.since(&before)[..] else {
            panic!()
        };
        assert_eq!((row.calls, row.failures), (10.0, 2.0));
        let [row] = &before.since(&after)[..] else {
            panic!()
        };
        assert!(row.calls >= 0.0 && row.failures >= 0.0);
    }
}
