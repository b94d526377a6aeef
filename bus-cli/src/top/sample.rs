//! One look at everything, and what changed between two.

use crate::failure::Failure;
use futures_util::{StreamExt as _, stream};
use replybus::{
    Bus,
    control::{DurationHistogram, InstanceStats},
    presence::InstanceId,
};
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
    /// By instance, since it was started.
    counts: BTreeMap<InstanceId, Counts>,
    waiting: u64,
    consumers: u64,
    dead: u64,
}

/// What came of the requests of an instance, of all methods together.
#[derive(Debug, Clone, Default)]
struct Counts {
    served: u64,
    /// Those of them that were answered with an error of the handler's own.
    errors: u64,
    failed: u64,
    took: DurationHistogram,
    waited: DurationHistogram,
}

/// What is shown of a queue.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) queue: String,
    pub(super) instances: usize,
    /// A second.
    pub(super) calls: f64,
    /// A second.
    pub(super) errors: f64,
    /// A second.
    pub(super) failures: f64,
    /// How long calls took in their instance; `None` if there were none, or nobody measures.
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
    /// How long they had waited in the queue.
    pub(super) waited_p99: Option<Duration>,
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
            let mut sum = Counts::default();
            for (instance, counts) in &queue.counts {
                // One that is new has done all of it since, as far as anybody saw.
                let known = earlier.and_then(|earlier| earlier.counts.get(instance));
                sum.add(&known.map_or_else(|| counts.clone(), |known| counts.since(known)));
            }
            #[expect(clippy::cast_precision_loss, reason = "rates for people")]
            let rate = |count: u64| count as f64 / seconds;
            Row {
                queue: queue.name.clone(),
                instances: queue.instances,
                calls: rate(sum.served.saturating_add(sum.failed)),
                errors: rate(sum.errors),
                failures: rate(sum.failed),
                p50: sum.took.quantile(0.5),
                p99: sum.took.quantile(0.99),
                waited_p99: sum.waited.quantile(0.99),
                in_flight: queue.in_flight,
                waiting: queue.waiting,
                consumers: queue.consumers,
                dead: queue.dead,
            }
        });
        rows.collect()
    }
}

impl Counts {
    fn of(stats: &InstanceStats) -> Self {
        let mut sum = Self::default();
        for method in stats.methods.values() {
            sum.served = sum.served.saturating_add(method.served);
            sum.errors = sum.errors.saturating_add(method.errors);
            sum.failed = sum.failed.saturating_add(method.failed);
            sum.took.merge(&method.took);
            sum.waited.merge(&method.waited);
        }
        sum
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            served: self.served.saturating_sub(before.served),
            errors: self.errors.saturating_sub(before.errors),
            failed: self.failed.saturating_sub(before.failed),
            took: self.took.since(&before.took),
            waited: self.waited.since(&before.waited),
        }
    }

    fn add(&mut self, other: &Self) {
        self.served = self.served.saturating_add(other.served);
        self.errors = self.errors.saturating_add(other.errors);
        self.failed = self.failed.saturating_add(other.failed);
        self.took.merge(&other.took);
        self.waited.merge(&other.waited);
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
            .map(|of| (of.instance, Counts::of(of)))
            .collect(),
        waiting: state.map_or(0, |state| state.waiting),
        consumers: state.map_or(0, |state| state.consumers),
        dead: dead.map_or(0, |state| state.waiting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of an instance whose calls took what is said, in microseconds, each so often.
    fn counts(served: u64, failed: u64, took: &str) -> Counts {
        Counts {
            served,
            failed,
            errors: served / 10,
            took: serde_json::from_str(took).unwrap(),
            waited: serde_json::from_str("[]").unwrap(),
        }
    }

    fn sample(at: Instant, counts: &[(u8, Counts)]) -> Sample {
        let of = |(id, counts): &(u8, Counts)| (InstanceId::from_bytes([*id; 16]), counts.clone());
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
        let first = (1, counts(100, 10, "[[900,110]]"));
        let before = sample(at, &[first, (2, counts(50, 0, "[[900,50]]"))]);
        let two_later = at + Duration::from_secs(2);
        // The first was restarted as the third.
        let second = (2, counts(60, 4, "[[100,7],[900,50],[2000,7]]"));
        let after = sample(two_later, &[second, (3, counts(6, 0, "[[100,6]]"))]);
        let [row] = &after.since(&before)[..] else {
            panic!()
        };
        assert_eq!((row.calls, row.errors, row.failures), (10.0, 0.5, 2.0));
        let micros = |of: u64| Some(Duration::from_micros(of));
        assert_eq!((row.p50, row.p99), (micros(100), micros(2_000)));
        assert_eq!(row.waited_p99, None);
        let [row] = &before.since(&after)[..] else {
            panic!()
        };
        assert!(row.calls >= 0.0 && row.errors >= 0.0 && row.failures >= 0.0);
    }
}
