//! One look at all queues of the bank, and what happened between two.

use contracts::program::QUEUES;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use replybus::{
    Bus,
    presence::{Instance, InstanceId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// Queues that are looked at at once.
const AT_ONCE: usize = 16;
/// Queues that are shown beside the bank's own.
const OTHERS_MAX: usize = 50;
/// What does not answer within this is shown as not known.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);
/// A look that is older says nothing of what happens now.
const COMPARED_FOR: Duration = Duration::from_secs(60);

/// All queues at a moment.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) time: Timestamp,
    /// `false` if nobody could say who serves what.
    pub(super) knows_instances: bool,
    pub(super) queues: Vec<Queue>,
}

/// A queue at that moment.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) instances: Vec<Seen>,
    /// Messages that wait, and consumers; `None` if that is not known.
    pub(super) waiting: Option<(u64, u64)>,
    /// Dead letters.
    pub(super) dead: Option<u64>,
}

/// An instance at that moment.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) instance: Instance,
    /// When it answered last, as far as this gateway knows.
    pub(super) last_seen: Option<Timestamp>,
    /// Deliveries that it works on.
    pub(super) in_flight: u64,
    /// Requests served and failed since it was started.
    counts: (u64, u64),
}

/// What a queue did between two looks, each a second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rates {
    pub(super) calls: f64,
    pub(super) failures: f64,
}

impl Look {
    /// Looks at all queues. It takes a second or two at most, whatever does not answer.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub(super) async fn take(bus: &Bus, before: Option<&Self>) -> Self {
        let services = answered(bus.services()).await;
        let knows_instances = services.is_some();
        let mut served: BTreeMap<String, Vec<Instance>> = services
            .unwrap_or_default()
            .into_iter()
            .map(|served| (served.queue, served.instances))
            .collect();
        let own: BTreeSet<&str> = QUEUES.iter().map(|of| of.queue).collect();
        let others = served.keys().filter(|queue| !own.contains(queue.as_str()));
        let others: Vec<String> = others.take(OTHERS_MAX).cloned().collect();
        let names = QUEUES.iter().map(|of| of.queue.to_owned()).chain(others);
        let (at, time) = (Instant::now(), Timestamp::now());
        let queues: Vec<_> = names
            .map(|name| {
                let instances = served.remove(&name).unwrap_or_default();
                Queue::look(bus, name, instances, time, before)
            })
            .collect();
        let queues = stream::iter(queues).buffered(AT_ONCE).collect().await;
        Self {
            at,
            time,
            knows_instances,
            queues,
        }
    }

    /// What a queue did since an earlier look; `None` if there was none, or long ago.
    pub(super) fn rates(&self, queue: &Queue, before: Option<&Self>) -> Option<Rates> {
        let before = before?;
        let apart = self.at.duration_since(before.at);
        if apart.is_zero() || apart > COMPARED_FOR {
            return None;
        }
        let earlier = before.queue(&queue.name);
        let (mut calls, mut failures) = (0_u64, 0_u64);
        for seen in &queue.instances {
            let known = earlier.and_then(|earlier| earlier.instance(seen.instance.id));
            // One that is new has done all of it since, as far as anybody saw.
            let (served_before, failed_before) = known.map_or((0, 0), |known| known.counts);
            let (served, failed) = seen.counts;
            let failed = failed.saturating_sub(failed_before);
            calls += served.saturating_sub(served_before) + failed;
            failures += failed;
        }
        #[expect(clippy::cast_precision_loss, reason = "rates for people")]
        let rate = |count: u64| count as f64 / apart.as_secs_f64();
        Some(Rates {
            calls: rate(calls),
            failures: rate(failures),
        })
    }

    fn queue(&self, name: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.name == name)
    }
}

impl Queue {
    fn look(
        bus: &Bus,
        name: String,
        instances: Vec<Instance>,
        now: Timestamp,
        before: Option<&Look>,
    ) -> impl Future<Output = Self> + use<> {
        let earlier = before.and_then(|before| before.queue(&name));
        let seen: Vec<Seen> = instances
            .into_iter()
            .map(|instance| Seen {
                last_seen: earlier
                    .and_then(|earlier| earlier.instance(instance.id))
                    .and_then(|known| known.last_seen),
                in_flight: instance.in_flight,
                counts: (0, 0),
                instance,
            })
            .collect();
        let earlier_counts: BTreeMap<InstanceId, (u64, u64)> = earlier
            .into_iter()
            .flat_map(|earlier| &earlier.instances)
            .map(|known| (known.instance.id, known.counts))
            .collect();
        let bus = bus.clone();
        async move {
            let dead = format!("{name}.dead");
            let (stats, state, dead) = tokio::join!(
                async {
                    match seen.is_empty() {
                        true => Vec::new(),
                        false => {
                            let control = bus.control(&name).within(ANSWERS_WITHIN);
                            control.stats().await.unwrap_or_default()
                        }
                    }
                },
                answered(bus.inspect(&name)),
                answered(bus.inspect(&dead)),
            );
            let mut queue = Self {
                name,
                instances: seen,
                waiting: state
                    .flatten()
                    .map(|state| (state.waiting, state.consumers)),
                // A queue that was never made has none.
                dead: dead.map(|state| state.map_or(0, |state| state.waiting)),
            };
            for seen in &mut queue.instances {
                let id = seen.instance.id;
                match stats.iter().find(|stats| stats.instance == id) {
                    Some(stats) => {
                        seen.last_seen = Some(now);
                        seen.in_flight = stats.in_flight;
                        seen.counts = sums(stats.methods.values());
                    }
                    // It did not answer, and did nothing that is known of.
                    None => seen.counts = earlier_counts.get(&id).copied().unwrap_or_default(),
                }
            }
            queue
        }
    }

    fn instance(&self, id: InstanceId) -> Option<&Seen> {
        self.instances.iter().find(|seen| seen.instance.id == id)
    }
}

fn sums<'a>(methods: impl Iterator<Item = &'a replybus::control::MethodStats>) -> (u64, u64) {
    methods.fold((0, 0), |(served, failed), method| {
        (
            served.saturating_add(method.served),
            failed.saturating_add(method.failed),
        )
    })
}

/// What is answered in time, if anything is.
async fn answered<T, E>(asked: impl Future<Output = Result<T, E>>) -> Option<T> {
    timeout(ANSWERS_WITHIN, asked).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use replybus::{Never, queue_handler};

    #[queue_handler("teller.requests")]
    trait Teller {
        #[query]
        async fn greet(&self, rude: bool) -> Result<(), Never>;
    }

    struct Polite;

    impl Teller for Polite {
        async fn greet(&self, rude: bool) -> Result<(), Never> {
            assert!(!rude, "to be counted as a failure");
            Ok(())
        }
    }

    #[tokio::test]
    async fn two_looks_tell_what_a_queue_did_and_who_serves_it() {
        let bus = Bus::in_memory();
        let empty = Look::take(&bus, None).await;
        assert!(empty.knows_instances);
        let own: Vec<_> = empty
            .queues
            .iter()
            .map(|queue| queue.name.as_str())
            .collect();
        assert_eq!(own, QUEUES.map(|of| of.queue));
        assert!(empty.queues.iter().all(|queue| queue.instances.is_empty()));

        let serving = bus.serve(TellerServer::new(Polite)).version("1.2").await;
        let serving = serving.unwrap();
        let first = Look::take(&bus, Some(&empty)).await;
        let teller = TellerClient::new(&bus);
        for _ in 0..3 {
            teller.greet(false).await.unwrap();
        }
        teller.greet(true).await.unwrap_err();
        let mut second = Look::take(&bus, Some(&first)).await;
        second.at = first.at + Duration::from_secs(2);
        let queue = second.queue("teller.requests").unwrap();
        assert_eq!(queue.instances[0].instance.version.as_deref(), Some("1.2"));
        assert_eq!(queue.instances[0].last_seen, Some(second.time));
        assert_eq!(queue.waiting, Some((0, 1)));
        assert_eq!(queue.dead, Some(0));
        let rates = second.rates(queue, Some(&first)).unwrap();
        assert_eq!((rates.calls, rates.failures), (2.0, 0.5));
        // Of nothing before, and of what was long ago, there is no rate.
        assert_eq!(second.rates(queue, None), None);
        second.at = first.at + COMPARED_FOR + Duration::from_millis(1);
        let queue = second.queue("teller.requests").unwrap();
        assert_eq!(second.rates(queue, Some(&first)), None);

        serving.shutdown().await.unwrap();
        bus.close(Duration::from_secs(1)).await;
        let closed = Look::take(&bus, Some(&second)).await;
        assert_eq!(closed.queues.len(), QUEUES.len());
    }
}
