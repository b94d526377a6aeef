//! One queue: what it holds, who consumes it, and who is next.

use crate::{
    message::Message,
    transport::{QueueSpec, QueueState, SettleOrder, Settled},
};
use futures_util::task::AtomicWaker;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};
use tokio::time::Instant;

/// A queue as RabbitMQ keeps it: messages in order, pushed to consumers in turn.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) spec: QueueSpec,
    state: Mutex<State>,
}

/// A message that is handed out to a consumer.
pub(super) struct Taken {
    pub(super) tag: u64,
    pub(super) message: Message,
    pub(super) redelivered: bool,
    pub(super) expires: Option<Instant>,
}

/// The connection of a browser was closed.
pub(super) struct Detached;

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Entry>,
    consumers: Vec<Consumer>,
    /// The start of the search for a consumer with a free slot, so that all get their turn.
    turn: usize,
    /// Only the consumer that was there first gets anything.
    single_active: bool,
    last_position: u64,
    last_consumer: u64,
}

/// A message at its position.
#[derive(Debug)]
struct Entry {
    /// Grows with each publish: what is given back returns to where it was.
    position: u64,
    message: Message,
    expires: Option<Instant>,
    redelivered: bool,
}

#[derive(Debug)]
struct Consumer {
    id: u64,
    connection: u64,
    prefetch: usize,
    stopped: bool,
    last_tag: u64,
    /// Pushed to the consumer, which did not ask for them yet.
    prefetched: VecDeque<Entry>,
    /// Handed out and not settled, by delivery tag.
    unsettled: HashMap<u64, Entry>,
    wake: Arc<AtomicWaker>,
}

impl Queue {
    pub(super) fn new(spec: QueueSpec) -> Self {
        let state = State {
            single_active: spec.single_active,
            ..State::default()
        };
        Self {
            spec,
            state: Mutex::new(state),
        }
    }

    /// Takes a message in; `false` if the queue is full.
    pub(super) fn push(&self, message: Message, expires: Option<Instant>) -> bool {
        let mut state = self.lock();
        state.drop_expired();
        // Only what waits counts, not what consumers hold: so does RabbitMQ.
        let full = |max| usize::try_from(max).is_ok_and(|max| state.ready.len() >= max);
        if self.spec.length_max.is_some_and(full) {
            return false;
        }
        let body = |message: &Message| u64::try_from(message.body.len()).unwrap_or(u64::MAX);
        if let Some(bytes_max) = self.spec.bytes_max {
            // Counted each time: only dead letters have such a limit, and few are kept in a
            // process.
            let held: u64 = state.ready.iter().map(|entry| body(&entry.message)).sum();
            if held.saturating_add(body(&message)) > bytes_max {
                return false;
            }
        }
        state.last_position += 1;
        let entry = Entry {
            position: state.last_position,
            message,
            expires,
            redelivered: false,
        };
        state.ready.push_back(entry);
        state.hand_out();
        true
    }

    /// Adds a consumer and returns its id; `wake` is woken by deliveries and of the end.
    pub(super) fn attach(&self, connection: u64, prefetch: u16, wake: Arc<AtomicWaker>) -> u64 {
        let mut state = self.lock();
        let id = state.add(connection, prefetch, wake);
        state.hand_out();
        id
    }

    /// Adds one that is sent nothing, and [gets](Self::get) what it asks for. Returns its id.
    pub(super) fn attach_browser(&self, connection: u64) -> u64 {
        let mut state = self.lock();
        let id = state.add(connection, 1, Arc::default());
        if let Some(browser) = state.consumer(id) {
            browser.stopped = true;
        }
        id
    }

    /// The oldest message that is ready, for a browser; `None` if there is none. `Err` if its
    /// connection is closed.
    pub(super) fn get(&self, browser: u64) -> Result<Option<Taken>, Detached> {
        let mut state = self.lock();
        state.drop_expired();
        if state.consumer(browser).is_none() {
            return Err(Detached);
        }
        let Some(entry) = state.ready.pop_front() else {
            return Ok(None);
        };
        let browser = state.consumer(browser).ok_or(Detached)?;
        Ok(Some(browser.hold(entry)))
    }

    /// The next delivery of a consumer, which is woken when there is one; `None` if it was stopped,
    /// or its connection is closed.
    pub(super) fn take(&self, consumer: u64) -> Poll<Option<Taken>> {
        let mut state = self.lock();
        let Some(consumer) = state.consumer(consumer) else {
            return Poll::Ready(None);
        };
        let Some(entry) = consumer.prefetched.pop_front() else {
            return if consumer.stopped {
                Poll::Ready(None)
            } else {
                Poll::Pending
            };
        };
        Poll::Ready(Some(consumer.hold(entry)))
    }

    /// Settles a delivery of a consumer. An unknown tag is that of a closed connection.
    pub(super) fn settle(&self, consumer: u64, order: SettleOrder) {
        let mut state = self.lock();
        let Some(consumer) = state.consumer(consumer) else {
            return;
        };
        let Some(entry) = consumer.unsettled.remove(&order.tag) else {
            return;
        };
        let settled = match order.settled {
            Settled::Ack => Some(entry),
            Settled::Requeue => {
                state.give_back(entry);
                None
            }
        };
        state.hand_out();
        drop(state);
        // The message is freed here, after the lock.
        drop(settled);
    }

    /// Ends a consumer's intake: what it did not take goes back, what it holds can be settled.
    pub(super) fn stop(&self, consumer: u64) {
        let mut state = self.lock();
        let Some(consumer) = state.consumer(consumer) else {
            return;
        };
        consumer.stopped = true;
        let untaken = std::mem::take(&mut consumer.prefetched);
        for entry in untaken {
            state.give_back(entry);
        }
        state.hand_out();
    }

    /// Removes a consumer; all it holds goes back.
    pub(super) fn detach(&self, consumer: u64) {
        self.lock().detach(|candidate| candidate.id == consumer);
    }

    /// The messages it holds that have not expired, and its consumers.
    pub(super) fn inspect(&self) -> QueueState {
        let state = self.lock();
        let now = Instant::now();
        let waiting = state
            .ready
            .iter()
            .filter(|entry| entry.expires.is_none_or(|expires| expires > now))
            .count();
        let consuming = state.consumers.iter().filter(|consumer| !consumer.stopped);
        QueueState {
            waiting: u64::try_from(waiting).unwrap_or(u64::MAX),
            consumers: u64::try_from(consuming.count()).unwrap_or(u64::MAX),
        }
    }

    /// Removes the consumers of a connection; all they hold goes back.
    pub(super) fn close_connection(&self, connection: u64) {
        self.lock()
            .detach(|candidate| candidate.connection == connection);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing here can panic half-way, so that a poisoned lock guards sound state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn consumer(&mut self, id: u64) -> Option<&mut Consumer> {
        self.consumers.iter_mut().find(|consumer| consumer.id == id)
    }

    fn add(&mut self, connection: u64, prefetch: u16, wake: Arc<AtomicWaker>) -> u64 {
        self.last_consumer += 1;
        self.consumers.push(Consumer {
            id: self.last_consumer,
            connection,
            prefetch: usize::from(prefetch.max(1)),
            stopped: false,
            last_tag: 0,
            prefetched: VecDeque::new(),
            unsettled: HashMap::new(),
            wake,
        });
        self.last_consumer
    }

    /// Pushes what is ready to the consumers that have a slot, one message each in turn.
    fn hand_out(&mut self) {
        loop {
            self.drop_expired();
            if self.ready.is_empty() {
                return;
            }
            let Some(index) = self.next_in_turn() else {
                return;
            };
            self.turn = index + 1;
            if let (Some(consumer), Some(entry)) =
                (self.consumers.get_mut(index), self.ready.pop_front())
            {
                consumer.prefetched.push_back(entry);
                consumer.wake.wake();
            }
        }
    }

    /// The consumer that is to get the next message.
    fn next_in_turn(&self) -> Option<usize> {
        let has_slot = |index: &usize| self.consumers.get(*index).is_some_and(Consumer::has_slot);
        if self.single_active {
            let active = self.consumers.iter().position(|consumer| !consumer.stopped);
            return active.filter(has_slot);
        }
        let count = self.consumers.len();
        (0..count)
            .map(|step| (self.turn + step) % count)
            .find(has_slot)
    }

    /// Removes expired messages at the head. One behind a live message stays until it gets there.
    fn drop_expired(&mut self) {
        let expired = |entry: &Entry| entry.expires.is_some_and(|at| at <= Instant::now());
        while self.ready.front().is_some_and(expired) {
            self.ready.pop_front();
        }
    }

    /// Returns a delivered message to its position, ahead of everything that was published later.
    fn give_back(&mut self, mut entry: Entry) {
        entry.redelivered = true;
        let index = self
            .ready
            .partition_point(|ahead| ahead.position < entry.position);
        self.ready.insert(index, entry);
    }

    fn detach(&mut self, leaves: impl Fn(&Consumer) -> bool) {
        let leaving: Vec<Consumer> = self
            .consumers
            .extract_if(.., |consumer| leaves(consumer))
            .collect();
        for consumer in leaving {
            consumer.wake.wake();
            for entry in consumer.prefetched {
                self.give_back(entry);
            }
            for entry in consumer.unsettled.into_values() {
                self.give_back(entry);
            }
        }
        self.hand_out();
    }
}

impl Consumer {
    /// Takes a message as handed out, until it is settled.
    fn hold(&mut self, entry: Entry) -> Taken {
        self.last_tag += 1;
        let taken = Taken {
            tag: self.last_tag,
            message: entry.message.clone(),
            redelivered: entry.redelivered,
            expires: entry.expires,
        };
        self.unsettled.insert(self.last_tag, entry);
        taken
    }

    fn has_slot(&self) -> bool {
        !self.stopped && self.prefetched.len() + self.unsettled.len() < self.prefetch
    }
}

#[cfg(test)]
impl Queue {
    /// Messages that wait for a consumer.
    pub(super) fn ready(&self) -> usize {
        self.lock().ready.len()
    }
}
