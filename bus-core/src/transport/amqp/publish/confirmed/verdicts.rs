//! The verdict on each publish, decided from what lapin says about it. Pure.
//!
//! # Why this is needed
//! RabbitMQ returns an unroutable message first and confirms it afterwards. lapin queues the
//! returns of a channel and, whenever *any* confirm resolves, takes the oldest return off that
//! queue and attaches it to that confirm. A confirm with a return in it therefore says that *some*
//! message was returned, the one with the `message_id` in the return.
//!
//! # Why the verdicts are true
//! lapin reads frames in one thread, so confirms resolve one after the other. A *round* is a set
//! of resolutions such that whatever resolved before a member is in it or in an earlier round;
//! [`super::confirms`] makes such rounds. All returns of a round are noted before any verdict.
//!
//! 1. *An ack without a return.* When it resolved the queue was empty. The message's own return,
//!    if there is one, was queued before its ack came, so it was taken off by an earlier
//!    resolution: it is in this round or an earlier one, and is noted. No note means stored.
//! 2. *An ack with somebody else's return.* The message's own return R may still be queued. The
//!    broker handles the publishes of a channel in order and returns as it does so; the returns
//!    queued no later than R thus belong to this message or to ones written before it. Each of
//!    those has an ack to come that takes one return off the front. Once all messages written
//!    before this one are resolved, R is off the queue, and noted. Until then there is no verdict.
//! 3. *A nack.* The broker refused the message; a return or none, it was not stored.
//!
//! No verdict needs further traffic: rule 2 waits only for messages the broker has already.

use crate::{message::Text, transport::Verdict};
use std::collections::{BTreeMap, HashMap};

/// The word of lapin about one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolution {
    /// The broker has dealt with it; perhaps the `message_id` of somebody's return.
    Ack(Option<Text>),
    /// The broker refused it; perhaps the `message_id` of somebody's return.
    Nack(Option<Text>),
    /// The channel ended first.
    Lost,
}

/// The publishes of one channel that have no verdict yet.
#[derive(Debug)]
pub(super) struct Undecided<T> {
    /// Written, not resolved; by their order.
    open: BTreeMap<u64, Entry<T>>,
    /// Acked with somebody else's return; by their order.
    doubtful: BTreeMap<u64, Entry<T>>,
    /// `message_id` to order, of all the above.
    ids: HashMap<Text, u64>,
}

#[derive(Debug)]
struct Entry<T> {
    id: Text,
    mandatory: bool,
    returned: bool,
    written: T,
}

impl<T> Default for Undecided<T> {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            ids: HashMap::new(),
        }
    }
}

impl<T> Undecided<T> {
    /// Notes that a message is being written. `order` grows with each, and no two messages
    /// here have the same `message_id`.
    pub(super) fn write(&mut self, order: u64, id: Text, mandatory: bool, written: T) {
        self.ids.insert(id.clone(), order);
        let entry = Entry {
            id,
            mandatory,
            returned: false,
            written,
        };
        self.open.insert(order, entry);
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.ids.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len() + self.doubtful.len()
    }

    /// The message that has waited longest for its confirm.
    pub(super) fn oldest(&self) -> Option<&T> {
        self.open.values().next().map(|entry| &entry.written)
    }

    /// The message without a verdict that was written last.
    pub(super) fn newest(&self) -> Option<&T> {
        let last = |entries: &BTreeMap<u64, Entry<T>>| entries.keys().next_back().copied();
        let order = last(&self.open).max(last(&self.doubtful))?;
        let entry = self.open.get(&order).or_else(|| self.doubtful.get(&order));
        entry.map(|entry| &entry.written)
    }

    /// Everything without a verdict, each with its `message_id`.
    pub(super) fn into_written(self) -> impl Iterator<Item = (Text, T)> {
        self.open
            .into_values()
            .chain(self.doubtful.into_values())
            .map(|entry| (entry.id, entry.written))
    }

    /// Takes in one round and gives the verdicts that are certain now, each with the `message_id`.
    pub(super) fn resolve(&mut self, round: Vec<(u64, Resolution)>) -> Vec<(Text, T, Verdict)> {
        for (_, resolution) in &round {
            if let Resolution::Ack(Some(id)) | Resolution::Nack(Some(id)) = resolution {
                self.note_return(id);
            }
        }
        let mut verdicts = Vec::with_capacity(round.len());
        for (order, resolution) in round {
            let Some(entry) = self.open.remove(&order) else {
                continue;
            };
            let verdict = match resolution {
                Resolution::Ack(_) | Resolution::Nack(_) if entry.returned => Verdict::Unroutable,
                Resolution::Ack(Some(_)) if entry.mandatory => {
                    self.doubtful.insert(order, entry);
                    continue;
                }
                Resolution::Ack(_) => Verdict::Confirmed,
                Resolution::Nack(_) => Verdict::Refused,
                Resolution::Lost => Verdict::Lost,
            };
            self.give(entry, verdict, &mut verdicts);
        }
        self.settle_doubtful(&mut verdicts);
        verdicts
    }

    fn note_return(&mut self, id: &str) {
        let Some(order) = self.ids.get(id) else {
            return;
        };
        if let Some(entry) = self
            .open
            .get_mut(order)
            .or_else(|| self.doubtful.get_mut(order))
        {
            entry.returned = true;
        }
    }

    fn settle_doubtful(&mut self, verdicts: &mut Vec<(Text, T, Verdict)>) {
        if self.doubtful.is_empty() {
            return;
        }
        let oldest_open = self.open.keys().next().copied().unwrap_or(u64::MAX);
        let certain: Vec<u64> = self
            .doubtful
            .iter()
            .filter(|(order, entry)| entry.returned || **order < oldest_open)
            .map(|(order, _)| *order)
            .collect();
        for order in certain {
            if let Some(entry) = self.doubtful.remove(&order) {
                let verdict = if entry.returned {
                    Verdict::Unroutable
                } else {
                    Verdict::Confirmed
                };
                self.give(entry, verdict, verdicts);
            }
        }
    }

    fn give(&mut self, entry: Entry<T>, verdict: Verdict, verdicts: &mut Vec<(Text, T, Verdict)>) {
        self.ids.remove(&entry.id);
        verdicts.push((entry.id, entry.written, verdict));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Fate {
        Stored,
        Returned,
        Rejected,
    }

    #[derive(Debug, Clone)]
    enum Step {
        Publish(Fate),
        /// The broker works off this many publishes, in order.
        Work(usize),
        /// The broker confirms one of those it worked off.
        Confirm(usize),
        /// The broker confirms all it worked off up to one; lapin goes through them in any order.
        ConfirmUpTo(usize, u64),
        /// Our task sees all that resolved, in any order.
        Look(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let fate = prop_oneof![
            Just(Fate::Stored),
            Just(Fate::Returned),
            Just(Fate::Rejected)
        ];
        prop_oneof![
            4 => fate.prop_map(Step::Publish),
            2 => (1..4_usize).prop_map(Step::Work),
            2 => any::<usize>().prop_map(Step::Confirm),
            2 => (any::<usize>(), any::<u64>()).prop_map(|(n, seed)| Step::ConfirmUpTo(n, seed)),
            2 => any::<u64>().prop_map(Step::Look),
        ]
    }

    /// RabbitMQ and lapin, as far as confirms go.
    #[derive(Default)]
    struct World {
        next: u64,
        fates: HashMap<u64, Fate>,
        written: VecDeque<u64>,
        worked_off: Vec<u64>,
        returns: VecDeque<u64>,
        resolved: Vec<(u64, Resolution)>,
    }

    impl World {
        fn work(&mut self, count: usize) {
            for _ in 0..count {
                let Some(order) = self.written.pop_front() else {
                    return;
                };
                if self.fates[&order] == Fate::Returned {
                    self.returns.push_back(order);
                }
                self.worked_off.push(order);
            }
        }

        fn confirm(&mut self, order: u64) {
            self.worked_off.retain(|other| *other != order);
            let returned = self
                .returns
                .pop_front()
                .map(|order| order.to_string().into());
            let resolution = match self.fates[&order] {
                Fate::Rejected => Resolution::Nack(returned),
                Fate::Stored | Fate::Returned => Resolution::Ack(returned),
            };
            self.resolved.push((order, resolution));
        }
    }

    fn shuffle<T>(items: &mut [T], mut seed: u64) {
        for i in (1..items.len()).rev() {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let j = usize::try_from(seed >> 33).unwrap() % (i + 1);
            items.swap(i, j);
        }
    }

    fn look(world: &mut World, undecided: &mut Undecided<u64>, seed: u64) {
        let mut round = std::mem::take(&mut world.resolved);
        shuffle(&mut round, seed);
        for (_, order, verdict) in undecided.resolve(round) {
            let expected = match world.fates[&order] {
                Fate::Stored => Verdict::Confirmed,
                Fate::Returned => Verdict::Unroutable,
                Fate::Rejected => Verdict::Refused,
            };
            assert_eq!(verdict, expected, "publish {order}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn every_verdict_is_true_and_none_is_missing(steps in prop::collection::vec(step(), 0..120)) {
            let mut world = World::default();
            let mut undecided = Undecided::default();
            for step in steps {
                match step {
                    Step::Publish(fate) => {
                        let order = world.next;
                        world.next += 1;
                        world.fates.insert(order, fate);
                        world.written.push_back(order);
                        undecided.write(order, order.to_string().into(), true, order);
                    }
                    Step::Work(count) => world.work(count),
                    Step::Confirm(pick) if !world.worked_off.is_empty() => {
                        let order = world.worked_off[pick % world.worked_off.len()];
                        world.confirm(order);
                    }
                    Step::ConfirmUpTo(pick, seed) if !world.worked_off.is_empty() => {
                        // A `multiple` frame is either an ack or a nack.
                        let last = world.worked_off[pick % world.worked_off.len()];
                        let nacks = world.fates[&last] == Fate::Rejected;
                        let mut orders: Vec<u64> = world
                            .worked_off
                            .iter()
                            .copied()
                            .filter(|o| *o <= last && (world.fates[o] == Fate::Rejected) == nacks)
                            .collect();
                        shuffle(&mut orders, seed);
                        orders.into_iter().for_each(|order| world.confirm(order));
                    }
                    Step::Look(seed) => look(&mut world, &mut undecided, seed),
                    Step::Confirm(_) | Step::ConfirmUpTo(..) => {}
                }
            }
            // Once the broker has answered everything, nothing waits for more traffic.
            world.work(usize::MAX);
            for order in world.worked_off.clone() {
                world.confirm(order);
            }
            look(&mut world, &mut undecided, 1);
            prop_assert_eq!(undecided.len(), 0);
            prop_assert!(undecided.ids.is_empty());
        }
    }

    #[test]
    fn an_ack_with_a_foreign_return_waits_for_those_before_it() {
        let mut undecided = Undecided::default();
        for order in [1, 2, 3] {
            undecided.write(order, order.to_string().into(), true, order);
        }
        assert_eq!(undecided.newest(), Some(&3));
        // Both 1 and 2 were returned; the ack of 2 carries the return of 1, that of 1 carries 2's.
        assert_eq!(
            undecided.resolve(vec![(2, Resolution::Ack(Some("1".into())))]),
            []
        );
        assert_eq!(
            undecided.resolve(vec![(1, Resolution::Ack(Some("2".into())))]),
            [
                ("1".into(), 1, Verdict::Unroutable),
                ("2".into(), 2, Verdict::Unroutable)
            ]
        );
        assert_eq!(
            undecided.resolve(vec![(3, Resolution::Ack(None))]),
            [("3".into(), 3, Verdict::Confirmed)]
        );
    }
}
