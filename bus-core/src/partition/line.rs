//! The deliveries of one partition, for as long as one consumer has it: those of one key one after
//! the other.

use super::Place;
use crate::transport::{Acknowledger, Delivery, Settled, Settler};
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use tokio::sync::{Notify, mpsc};

/// The deliveries of a partition. No more are here than the prefetch.
///
/// One that is given back ends the line: what is behind it must not be run before it. All that is not
/// done then is kept as it is, until the consumer has ended, with which it is back in its place.
pub(super) struct Line {
    this: Weak<Self>,
    partition: u16,
    /// Is told the line for each delivery that is ready.
    ready: mpsc::UnboundedSender<Arc<Self>>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Of each key of which one is ready or runs: those that wait for it.
    waiting: HashMap<u32, VecDeque<Delivery>>,
    ready: VecDeque<(Option<u32>, Delivery)>,
    running: HashMap<u64, (Option<u32>, Settler)>,
    last: u64,
    /// Given back, and kept.
    back: Vec<Settler>,
    /// Nothing more is begun.
    is_ending: bool,
}

impl Line {
    /// That of a partition, which says by the sender when there is something to run.
    pub(super) fn new(partition: u16, ready: mpsc::UnboundedSender<Arc<Self>>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            partition,
            ready,
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Takes the next delivery of the queue.
    pub(super) fn add(&self, delivery: Delivery) {
        let place = place_of(&delivery);
        // What has no place is refused, and is nobody's predecessor.
        let key = place
            .filter(|place| place.partition() == self.partition)
            .map(|place| place.key);
        let mut state = self.state();
        match key.map(|key| state.waiting.entry(key)) {
            Some(Entry::Occupied(mut waiting)) => return waiting.get_mut().push_back(delivery),
            Some(Entry::Vacant(free)) => {
                free.insert(VecDeque::new());
            }
            None => {}
        }
        state.ready.push_back((key, delivery));
        drop(state);
        self.say_ready();
    }

    /// The next delivery to run, if it is still to be run.
    pub(super) fn take(self: &Arc<Self>) -> Option<Delivery> {
        let mut state = self.state();
        if state.is_ending {
            return None;
        }
        let (key, mut delivery) = state.ready.pop_front()?;
        state.last += 1;
        let tag = state.last;
        let acknowledger: Arc<dyn Acknowledger> = Arc::<Self>::clone(self);
        let settler = mem::replace(&mut delivery.settler, Settler::new(tag, acknowledger));
        delivery.partition = Some(self.partition);
        state.running.insert(tag, (key, settler));
        Some(delivery)
    }

    /// Begins no more of it.
    pub(super) fn end(&self) {
        self.state().is_ending = true;
    }

    /// `true` once no more of it is begun.
    pub(super) fn is_ending(&self) -> bool {
        self.state().is_ending
    }

    /// `true` while nothing of it runs.
    pub(super) fn is_idle(&self) -> bool {
        self.state().running.is_empty()
    }

    /// Waits until one that ran has come to its end.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Lets go of all that was not done: its consumer has ended, and the broker has it.
    pub(super) fn let_go(&self) {
        let mut state = self.state();
        state.is_ending = true;
        let left = (
            mem::take(&mut state.waiting),
            mem::take(&mut state.ready),
            mem::take(&mut state.back),
        );
        drop(state);
        drop(left);
    }

    fn say_ready(&self) {
        if let Some(this) = self.this.upgrade() {
            // Nobody takes any more: it is kept until the consumer ends.
            let _ = self.ready.send(this);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Acknowledger for Line {
    fn settle(&self, tag: u64, settled: Settled) {
        let mut state = self.state();
        let Some((key, settler)) = state.running.remove(&tag) else {
            return;
        };
        let mut is_ready = false;
        if settled == Settled::Ack {
            settler.settle(Settled::Ack);
            if let Some(key) = key {
                match state.waiting.get_mut(&key).and_then(VecDeque::pop_front) {
                    Some(delivery) => {
                        state.ready.push_back((Some(key), delivery));
                        is_ready = true;
                    }
                    None => {
                        state.waiting.remove(&key);
                    }
                }
            }
        } else {
            state.back.push(settler);
            state.is_ending = true;
        }
        drop(state);
        if is_ready {
            self.say_ready();
        }
        self.changed.notify_one();
    }
}

/// The place that a message says it has.
fn place_of(delivery: &Delivery) -> Option<Place> {
    Place::of(&delivery.message.properties)
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Line")
            .field("partition", &self.partition)
            .field("keys", &state.waiting.len())
            .field("running", &state.running.len())
            .field("is_ending", &state.is_ending)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::{Message, Properties},
        transport::{SettleOrder, settle_orders},
        wire::headers,
    };

    struct Bench {
        line: Arc<Line>,
        ready: mpsc::UnboundedReceiver<Arc<Line>>,
        broker: Arc<dyn Acknowledger>,
        orders: mpsc::UnboundedReceiver<SettleOrder>,
        last: u64,
    }

    impl Bench {
        fn new() -> Self {
            let (sender, ready) = mpsc::unbounded_channel();
            let (broker, orders) = settle_orders();
            let line = Line::new(0, sender);
            Self {
                line,
                ready,
                broker,
                orders,
                last: 0,
            }
        }

        /// Adds deliveries of these keys, in a contract of one partition.
        fn add(&mut self, keys: &[&str]) {
            for key in keys {
                self.last += 1;
                let place = (headers::PARTITION.into(), format!("{key}/1").into());
                let message = Message {
                    routing_key: (*key).into(),
                    properties: Properties {
                        headers: [place].into(),
                        ..Properties::default()
                    },
                    ..Message::default()
                };
                let settler = Settler::new(self.last, Arc::clone(&self.broker));
                self.line.add(Delivery::new(message, settler));
            }
        }

        fn take(&mut self) -> Option<Delivery> {
            self.ready.try_recv().ok()?.take()
        }

        /// The next one that is ready, and its key.
        fn takes(&mut self, key: &str) -> Delivery {
            let delivery = self.take().unwrap();
            assert_eq!(delivery.message.routing_key.as_str(), key);
            delivery
        }

        /// What the broker was told.
        fn told(&mut self) -> Vec<(u64, Settled)> {
            let mut told = Vec::new();
            while let Ok(SettleOrder { tag, settled }) = self.orders.try_recv() {
                told.push((tag, settled));
            }
            told
        }
    }

    #[test]
    fn the_next_of_a_key_is_ready_when_the_one_before_is_acknowledged() {
        let mut bench = Bench::new();
        bench.add(&["1", "1", "2", "1"]);
        let (first, other) = (bench.takes("1"), bench.takes("2"));
        assert!(bench.take().is_none());
        first.settler.settle(Settled::Ack);
        assert_eq!(bench.told(), [(1, Settled::Ack)]);
        let second = bench.takes("1");
        assert!(bench.take().is_none());
        other.settler.settle(Settled::Ack);
        second.settler.settle(Settled::Ack);
        bench.takes("1").settler.settle(Settled::Ack);
        assert!(bench.line.is_idle() && bench.line.state().waiting.is_empty());
        assert_eq!(bench.told().len(), 3);
    }

    #[test]
    fn what_has_no_place_waits_for_nothing() {
        let mut bench = Bench::new();
        bench.add(&["x", "x"]);
        let both = (bench.takes("x"), bench.takes("x"));
        assert!(!bench.line.is_idle());
        drop(both);
    }

    #[test]
    fn one_that_is_given_back_ends_the_line_and_keeps_what_is_behind_it() {
        let mut bench = Bench::new();
        bench.add(&["1", "1", "2", "3"]);
        let (first, other) = (bench.takes("1"), bench.takes("2"));
        drop(first);
        assert!(bench.line.is_ending() && !bench.line.is_idle());
        assert!(bench.take().is_none(), "3 is not begun");
        other.settler.settle(Settled::Ack);
        assert!(bench.line.is_idle());
        // Told now, the broker would send the first again, behind what is here.
        assert_eq!(bench.told(), [(3, Settled::Ack)]);
        bench.line.let_go();
        let back: Vec<_> = bench.told().into_iter().map(|(tag, _)| tag).collect();
        assert_eq!(back.len(), 3);
        assert!([1, 2, 4].iter().all(|tag| back.contains(tag)));
    }
}
