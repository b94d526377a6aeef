//! A lane: what waits at the same time is done together.
//!
//! Nothing waits for company. What comes while nothing is under way is done at once, alone; what
//! comes meanwhile is the next group. So groups grow with the load, and a transaction, its commit
//! and its round trips are shared by those who would else have paid each.

use futures_util::future::BoxFuture;
use replybus::{
    Context,
    context::TraceContext,
    trace::{Span, SpanKind},
};
use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    mem,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
    time::timeout,
};

/// A group that takes longer is waited for by nobody else: some row of it may be locked by who
/// knows whom, and others have nothing to do with that row.
const SLOW_AFTER: Duration = Duration::from_millis(50);
/// Groups that may be so late at once, beside the one that the lane waits for. Each has a
/// connection to the database.
const SLOW_MAX: usize = 3;

/// The work of a group: an outcome for each item, in their order.
type Work<T, R> = dyn Fn(Vec<T>) -> BoxFuture<'static, sqlx::Result<Vec<Option<R>>>> + Send + Sync;

/// What came of an item that was done with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined<R> {
    /// It is done.
    Done(R),
    /// Its group came to nothing, or left it out. Whether it is done is not known; it is its
    /// owner's to do alone, where it can fail for itself.
    Alone,
    /// The group got no connection, for as long as that is worth waiting: it did nothing.
    NotReached,
}

/// Does together what waits at the same time. Clones are the same lane.
pub struct Lane<T, R>(Arc<Inner<T, R>>);

struct Inner<T, R> {
    name: &'static str,
    together: usize,
    work: Box<Work<T, R>>,
    state: Mutex<State<T, R>>,
    slow: Semaphore,
}

struct State<T, R> {
    /// As many as there are callers: each waits for its own.
    waiting: VecDeque<Waiting<T, R>>,
    /// Whether there is a group that the next one waits for.
    is_taken: bool,
}

struct Waiting<T, R> {
    item: T,
    /// Where its wait is in a trace, if that is recorded.
    trace: Option<TraceContext>,
    outcome: oneshot::Sender<Joined<R>>,
}

impl<T, R> Clone for Lane<T, R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, R> fmt::Debug for Lane<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static, R: Send + 'static> Lane<T, R> {
    /// A lane on which `work` is done, at most for so many at a time. It gives each item its
    /// outcome, in their order, or none to those it leaves out.
    pub fn new<F>(
        name: &'static str,
        together: usize,
        work: impl Fn(Vec<T>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = sqlx::Result<Vec<Option<R>>>> + Send + 'static,
    {
        Self(Arc::new(Inner {
            name,
            together: together.max(1),
            work: Box::new(move |items| Box::pin(work(items))),
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                is_taken: false,
            }),
            slow: Semaphore::new(SLOW_MAX),
        }))
    }

    /// Has an item done with those that wait.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the item is done all the same.
    pub async fn join(&self, item: T) -> Joined<R> {
        let (outcome, awaited) = oneshot::channel();
        let span = Span::inner(SpanKind::Internal, self.0.name);
        let trace = span.trace().cloned();
        let turn = {
            let mut state = self.0.state();
            state.waiting.push_back(Waiting {
                item,
                trace,
                outcome,
            });
            let is_free = !mem::replace(&mut state.is_taken, true);
            is_free.then(|| Turn(Arc::clone(&self.0)))
        };
        // What is left when it is dropped begins the next group: this one.
        drop(turn);
        awaited.await.unwrap_or(Joined::Alone)
    }
}

impl<T, R> Inner<T, R> {
    fn tell(&self, outcomes: Vec<oneshot::Sender<Joined<R>>>, done: sqlx::Result<Vec<Option<R>>>) {
        let mut done = match done {
            Ok(done) => done.into_iter(),
            Err(sqlx::Error::PoolTimedOut) => {
                for outcome in outcomes {
                    let _ = outcome.send(Joined::NotReached);
                }
                return;
            }
            Err(error) => {
                let (together, error) = (outcomes.len(), &error as &dyn std::error::Error);
                tracing::warn!(
                    self.name,
                    together,
                    error,
                    "a group failed, each is done alone"
                );
                Vec::new().into_iter()
            }
        };
        for outcome in outcomes {
            let done = done.next().flatten();
            // Who has gone knows that it is done all the same.
            let _ = outcome.send(done.map_or(Joined::Alone, Joined::Done));
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State<T, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn on a lane. Dropped, it begins the next group, or leaves the lane free: also when a
/// group panics.
struct Turn<T: Send + 'static, R: Send + 'static>(Arc<Inner<T, R>>);

impl<T: Send + 'static, R: Send + 'static> Drop for Turn<T, R> {
    fn drop(&mut self) {
        let group: Vec<_> = {
            let mut state = self.0.state();
            let count = state.waiting.len().min(self.0.together);
            state.is_taken = count > 0;
            state.waiting.drain(..count).collect()
        };
        if group.is_empty() {
            return;
        }
        let turn = Self(Arc::clone(&self.0));
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(turn.take(group))),
            // The runtime has ended, and with it whoever waited.
            Err(_) => drop((group, turn)),
        }
    }
}

impl<T: Send + 'static, R: Send + 'static> Turn<T, R> {
    async fn take(self, group: Vec<Waiting<T, R>>) {
        let lane = Arc::clone(&self.0);
        // What a group asks the database is told in the trace of its first.
        let trace = group.iter().find_map(|waiting| waiting.trace.clone());
        let (items, outcomes): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|waiting| (waiting.item, waiting.outcome))
            .unzip();
        let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
        metrics::counter!("bank_groups_total", "lane" => lane.name).increment(1);
        metrics::counter!("bank_grouped_total", "lane" => lane.name).increment(count);
        let work = (lane.work)(items);
        let mut work = pin!(async {
            match trace {
                Some(trace) => Context::builder().trace(trace).build().scope(work).await,
                None => work.await,
            }
        });
        let (done, turn) = match timeout(SLOW_AFTER, &mut work).await {
            Ok(done) => (done, Some(self)),
            Err(_) => match lane.slow.try_acquire() {
                Ok(_place) => {
                    drop(self);
                    (work.await, None)
                }
                Err(_) => (work.await, Some(self)),
            },
        };
        lane.tell(outcomes, done);
        drop(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt as _, future::join_all};
    use tokio::sync::Notify;

    fn double(item: u32) -> Option<u32> {
        (item != 15).then_some(item * 2)
    }

    /// A lane whose groups are told, and wait to be let go.
    struct Gate {
        lane: Lane<u32, u32>,
        groups: Arc<Mutex<Vec<Vec<u32>>>>,
        open: Arc<Notify>,
    }

    impl Gate {
        fn new(together: usize) -> Self {
            let groups = Arc::new(Mutex::new(Vec::new()));
            let open = Arc::new(Notify::new());
            let (told, opened) = (Arc::clone(&groups), Arc::clone(&open));
            let lane = Lane::new("test", together, move |items: Vec<u32>| {
                let (told, opened) = (Arc::clone(&told), Arc::clone(&opened));
                async move {
                    told.lock().unwrap().push(items.clone());
                    opened.notified().await;
                    assert!(!items.contains(&13), "the group of 13 fails");
                    if items.contains(&14) {
                        return Err(sqlx::Error::PoolTimedOut);
                    }
                    Ok(items.into_iter().map(double).collect())
                }
            });
            Self { lane, groups, open }
        }

        fn groups(&self) -> Vec<Vec<u32>> {
            self.groups.lock().unwrap().clone()
        }

        /// Lets groups go until all that was asked is answered.
        async fn answers(&self, items: impl IntoIterator<Item = u32>) -> Vec<Joined<u32>> {
            let joined = items.into_iter().map(|item| self.lane.join(item));
            let mut answered = pin!(join_all(joined));
            loop {
                if let Some(answers) = (&mut answered).now_or_never() {
                    return answers;
                }
                self.open.notify_one();
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_at_the_same_time_is_done_together_and_what_comes_alone_at_once() {
        let gate = Gate::new(4);
        let answers = gate.answers(1..=7).await;
        assert_eq!(
            answers,
            (1..=7)
                .map(|item| Joined::Done(item * 2))
                .collect::<Vec<_>>()
        );
        assert_eq!(gate.groups(), [vec![1], vec![2, 3, 4, 5], vec![6, 7]]);
        assert_eq!(gate.answers([8]).await, [Joined::Done(16)]);
        assert_eq!(gate.groups().len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_panics_has_no_outcomes_and_the_lane_goes_on() {
        let gate = Gate::new(2);
        let answers = gate.answers([1, 13, 2, 3]).await;
        let alone = Joined::Alone;
        assert_eq!(answers, [Joined::Done(2), alone, alone, Joined::Done(6)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_outcome_is_done_alone_unless_nothing_was_reached() {
        let gate = Gate::new(2);
        let answers = gate.answers([1, 15, 2, 14, 3]).await;
        let (alone, none) = (Joined::Alone, Joined::NotReached);
        assert_eq!(
            answers,
            [Joined::Done(2), alone, Joined::Done(4), none, none]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_does_not_withdraw_what_they_asked() {
        let gate = Gate::new(4);
        let mut first = Box::pin(gate.lane.join(1));
        assert!((&mut first).now_or_never().is_none());
        assert!(gate.lane.join(2).now_or_never().is_none());
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(gate.answers([3]).await, [Joined::Done(6)]);
        assert_eq!(gate.groups(), [vec![1], vec![2, 3]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_group_holds_nobody_up_for_long() {
        let gate = Gate::new(1);
        let mut all: Vec<_> = (0..6).map(|item| Box::pin(gate.lane.join(item))).collect();
        for joined in &mut all {
            assert!(joined.now_or_never().is_none());
        }
        // Time passes by itself while nothing else can.
        let bound = u32::try_from(SLOW_MAX).unwrap() + 2;
        tokio::time::sleep(SLOW_AFTER * bound).await;
        let begun = gate.groups().len();
        assert_eq!(begun, SLOW_MAX + 1, "no more than may be late at once");
        gate.answers([]).await;
        for joined in all {
            gate.open.notify_waiters();
            gate.open.notify_one();
            assert!(matches!(joined.await, Joined::Done(_)));
        }
    }
}
