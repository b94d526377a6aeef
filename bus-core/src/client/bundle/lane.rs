//! The calls that wait to leave together, and their departure.

use super::{
    Post,
    pace::Pace,
    seat::{Seat, SeatHold},
    sent::SentBundle,
};
use crate::{
    call_id::CallId,
    client::request::CallRequest,
    codec::ContentType,
    limits::{
        BUNDLE_BYTES_MAX, BUNDLE_ENTRIES_MAX, BUNDLE_ENTRY_BYTES_MAX, BUNDLE_WORK_MAX,
        UNCONFIRMED_MAX,
    },
    message::{Message, Properties, Text},
    metric::{Handles, METADATA},
    transport::{
        Departed, Departure, DirectPublish, Outgoing, Receipt, SharedVerdict, Slip, Verdict,
        Withdrawn,
    },
    wire::{bundle, headers},
};
use metrics::{Counter, Key, Recorder};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// Where a call is once it was sent.
#[derive(Debug)]
pub(crate) enum Sending {
    /// In a message of its own.
    Alone(Receipt),
    /// With others, or waiting for them.
    Together(SeatHold),
}

impl Sending {
    /// Waits for the verdict. [`Verdict::Lost`] says that the call is to be sent again.
    pub(in crate::client) fn poll_verdict(&self, cx: &Context<'_>) -> Poll<Verdict> {
        match self {
            Self::Alone(receipt) => receipt.poll_verdict(cx),
            Self::Together(seat) => seat.poll_verdict(cx),
        }
    }

    /// Takes the call back if it was not written yet.
    pub(in crate::client) fn withdraw(&self) -> Withdrawn {
        match self {
            Self::Alone(receipt) => receipt.withdraw(),
            Self::Together(seat) => seat.withdraw(),
        }
    }
}

/// Calls of one queue, kind and encoding.
pub(crate) struct Lane {
    post: Arc<Post>,
    queue: Text,
    pace: Arc<Pace>,
    persistent: bool,
    content_type: ContentType,
    state: Mutex<State>,
    /// What counts bundles, and the calls in them.
    counters: Handles<[Counter; 2]>,
}

#[derive(Default)]
struct State {
    /// A message of this lane is not out yet. When it is, a task writes what waits; a call that
    /// comes before it does writes it all, too.
    writing: bool,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    seat: Arc<Seat>,
    deadline: Instant,
    deadline_at: u64,
    work: Duration,
    encoded: Vec<u8>,
}

impl Lane {
    pub(super) fn new(
        post: &Arc<Post>,
        queue: &Text,
        pace: &Arc<Pace>,
        persistent: bool,
        content_type: ContentType,
    ) -> Self {
        Self {
            post: Arc::clone(post),
            queue: queue.clone(),
            pace: Arc::clone(pace),
            persistent,
            content_type,
            state: Mutex::default(),
            counters: Handles::new(),
        }
    }

    /// Counts a bundle of so many calls.
    fn count(&self, calls: u64) {
        static KEYS: [Key; 2] = [
            Key::from_static_name("replybus_bundles_total"),
            Key::from_static_name("replybus_bundled_calls_total"),
        ];
        let ask = |recorder: &dyn Recorder| {
            KEYS.each_ref()
                .map(|key| recorder.register_counter(key, &METADATA))
        };
        self.counters
            .with(Instant::now(), ask, |[bundles, bundled]| {
                bundles.increment(1);
                bundled.increment(calls);
            });
    }

    /// Publishes a message past the lane.
    pub(super) fn publish(&self, outgoing: Outgoing) -> Receipt {
        self.post.transport.publish(outgoing)
    }

    /// Sends a request that may leave with others: `alone` makes the message of one that does not.
    pub(super) fn send(
        self: &Arc<Self>,
        request: &CallRequest,
        repeated: bool,
        work: Duration,
        alone: impl FnOnce() -> Outgoing,
    ) -> Sending {
        let direct = self.post.transport.direct();
        let direct = direct.filter(|direct| direct.is_open() && self.post.runtime.is_some());
        let Some(direct) = direct else {
            return Sending::Alone(self.publish(alone()));
        };
        if let Some(mut state) = self.idle() {
            state.writing = true;
            drop(state);
            return Sending::Alone(self.write_alone(direct, alone()));
        }
        // Nobody waits for an entry that is made, and signed: the lane may be free again after it.
        let encoded = encode(request, repeated, &self.post);
        let mut state = self.state();
        let Some(encoded) = encoded.filter(|_| state.waiting.len() < UNCONFIRMED_MAX) else {
            drop(state);
            return Sending::Alone(self.publish(alone()));
        };
        let seat = Arc::<Seat>::default();
        state.waiting.push_back(Waiting {
            seat: Arc::clone(&seat),
            deadline: request.deadline(),
            deadline_at: request.deadline_at,
            work,
            encoded,
        });
        let is_out = !state.writing;
        drop(state);
        if is_out {
            self.write_waiting();
        }
        Sending::Together(SeatHold {
            seat,
            lane: Arc::clone(self),
        })
    }

    fn write_alone(self: &Arc<Self>, direct: &dyn DirectPublish, outgoing: Outgoing) -> Receipt {
        let (slip, receipt) = Receipt::pair();
        match direct.write(outgoing, slip, self.departure()) {
            None => receipt,
            Some((outgoing, _)) => self.publish(outgoing),
        }
    }

    /// Writes what waits, as much as goes into one message, unless one is being written.
    pub(super) fn write_waiting(self: &Arc<Self>) {
        let mut state = self.state();
        if state.writing {
            return;
        }
        let taken = state.take();
        let Some(longest) = taken.iter().map(|waiting| waiting.deadline).max() else {
            return;
        };
        state.writing = true;
        drop(state);
        let id = CallId::new();
        let message = self.message(id, &taken);
        let sent = Arc::new(SentBundle {
            id,
            seats: taken.into_iter().map(|waiting| waiting.seat).collect(),
            pace: Arc::clone(&self.pace),
            waiters: Arc::clone(&self.post.waiters),
        });
        self.post.waiters.register_bundle(id, &sent);
        let shared: Arc<dyn SharedVerdict> = Arc::<SentBundle>::clone(&sent);
        let outgoing = Outgoing::new(message).deadline(longest).confirm(false);
        let slip = Slip::shared(shared);
        self.count(sent.seats.len() as u64);
        let refused = match self.post.transport.direct() {
            Some(direct) => direct.write(outgoing, slip, self.departure()),
            None => Some((outgoing, slip)),
        };
        if refused.is_some() {
            // There is no connection just now: each of them waits for one by itself.
            sent.seats.iter().for_each(|seat| seat.send_alone(false));
        }
    }

    /// Takes a call back; `TooLate` if it has left.
    pub(super) fn withdraw(&self, seat: &Seat) -> Withdrawn {
        let state = self.state();
        if !seat.is_waiting() {
            return Withdrawn::TooLate;
        }
        seat.withdraw();
        drop(state);
        Withdrawn::Surely
    }

    fn message(&self, id: CallId, taken: &[Waiting]) -> Message {
        let latest = taken.iter().map(|waiting| waiting.deadline_at).max();
        let latest = latest.unwrap_or_default();
        let bytes = taken.iter();
        let bytes = bytes.map(|waiting| bundle::entry_bytes(&waiting.encoded));
        let mut body = Vec::with_capacity(bytes.sum());
        for waiting in taken {
            let sooner = latest.saturating_sub(waiting.deadline_at);
            bundle::append(&mut body, Duration::from_millis(sooner), &waiting.encoded);
        }
        Message {
            routing_key: self.queue.clone(),
            properties: Properties {
                correlation_id: Some(Text::shown(id)),
                reply_to: Some(self.post.inbox.clone()),
                kind: Some(Text::from_static(bundle::BUNDLE)),
                content_type: (self.content_type != ContentType::default())
                    .then(|| Text::from_static(self.content_type.as_str())),
                app_id: Some(self.post.app_id.clone()),
                persistent: self.persistent,
                headers: [(Text::from_static(headers::DEADLINE), Text::shown(latest))].into(),
                ..Properties::default()
            },
            body: body.into(),
            ..Message::default()
        }
    }

    fn departure(self: &Arc<Self>) -> Departure {
        let this: Weak<Self> = Arc::downgrade(self);
        Departure::new(this)
    }

    /// The lane, if nothing is being written and nothing waits.
    fn idle(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.state();
        (!state.writing && state.waiting.is_empty()).then_some(state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Departed for Lane {
    fn departed(self: Arc<Self>) {
        let mut state = self.state();
        state.writing = false;
        let waits = !state.waiting.is_empty();
        drop(state);
        if waits && let Some(runtime) = &self.post.runtime {
            // By none of the callers: one that is not polled just now would keep all the others.
            let lane = Arc::clone(&self);
            runtime.spawn(async move { lane.write_waiting() });
        }
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("queue", &self.queue)
            .field("waiting", &self.state().waiting.len())
            .finish_non_exhaustive()
    }
}

impl State {
    /// Takes what goes into one message: the first that waits, and those behind it that fit.
    fn take(&mut self) -> Vec<Waiting> {
        let mut taken: Vec<Waiting> = Vec::new();
        let now = Instant::now();
        let (mut bytes, mut work) = (0, Duration::ZERO);
        while let Some(next) = self.waiting.front() {
            if !next.seat.is_waiting() {
                self.waiting.pop_front();
                continue;
            }
            bytes += bundle::entry_bytes(&next.encoded);
            work += next.work;
            let fits = taken.first().is_none_or(|first| {
                taken.len() < BUNDLE_ENTRIES_MAX
                    && bytes <= BUNDLE_BYTES_MAX
                    && work <= BUNDLE_WORK_MAX
                    && are_near(first.deadline, next.deadline, now)
            });
            if !fits {
                break;
            }
            next.seat.take();
            taken.extend(self.waiting.pop_front());
        }
        taken
    }
}

/// `true` of deadlines that may be in one message, which expires at the later of them: neither
/// leaves more than twice the time of the other.
fn are_near(one: Instant, other: Instant, now: Instant) -> bool {
    let left = |deadline: Instant| deadline.saturating_duration_since(now);
    let (least, most) = (left(one.min(other)), left(one.max(other)));
    most <= least * 2
}

/// The entry of a request, if it may be one.
fn encode(request: &CallRequest, repeated: bool, post: &Post) -> Option<Vec<u8>> {
    let signature = post.signatures.header(request, &post.app_id, &post.inbox);
    let entry = bundle::NewEntry {
        id: request.id(),
        repeated,
        unrecorded: request.carried.is_unrecorded(),
        method: request.method.name,
        headers: &request.headers(false, false, signature),
        body: &request.body,
    };
    entry
        .encode()
        .filter(|encoded| bundle::entry_bytes(encoded) <= BUNDLE_ENTRY_BYTES_MAX)
}
