//! The calls that a service holds, found by their ids when they are cancelled; and what was
//! cancelled before it came.

use crate::{
    call_id::CallId,
    limits::{CANCELS_KEPT_MAX, CLOCK_ALLOWANCE},
    work::Run,
};
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    future::Future,
    pin::Pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The calls that one service holds. A call that nobody cancels costs a look at a flag, and a query
/// that waits for something an entry.
#[derive(Debug, Default)]
pub(crate) struct HeldCalls {
    state: Mutex<State>,
    /// There may be cancelled calls.
    any_cancelled: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    held: HashMap<CallId, Held>,
    /// Cancelled calls, each until its time would have been over, in the order in which they were
    /// cancelled.
    cancelled: HashMap<CallId, Instant>,
    in_order: VecDeque<CallId>,
}

#[derive(Debug, Clone)]
enum Held {
    /// A query, which is dropped.
    Query(Waker),
    /// A command, which is told.
    Command(CancellationToken, Run),
}

impl Held {
    /// Lets it know that it is cancelled.
    fn tell(self) {
        match self {
            Self::Query(waker) => waker.wake(),
            Self::Command(token, run) => {
                run.withdraw();
                token.cancel();
            }
        }
    }
}

/// The entry of one call. It goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    calls: &'a HeldCalls,
    id: CallId,
    /// Of two copies of a call that are held at once the first has the entry.
    is_entered: bool,
}

/// Runs a query until it is cancelled: then it is ready with `None`.
#[derive(Debug)]
pub(crate) struct UnlessCancelled<'a, F> {
    entered: Entered<'a>,
    running: Pin<&'a mut F>,
}

impl HeldCalls {
    /// `true` if nobody waits for this call any more.
    pub(crate) fn is_cancelled(&self, id: CallId) -> bool {
        self.any_cancelled.load(Ordering::Acquire) && self.state().is_cancelled(id)
    }

    /// Cancels a call: the query that runs under this id is dropped, the command is told, and what
    /// comes later is not started. It is remembered for as long as it could be started, which is
    /// beyond its deadline.
    pub(crate) fn cancel(&self, id: CallId, deadline: Instant) {
        let deadline = deadline + CLOCK_ALLOWANCE;
        let mut state = self.state();
        state.forget(Instant::now());
        if state.cancelled.insert(id, deadline).is_none() {
            state.in_order.push_back(id);
        }
        self.any_cancelled.store(true, Ordering::Release);
        let held = state.held.get(&id).cloned();
        drop(state);
        if let Some(held) = held {
            held.tell();
        }
    }

    /// Enters a command, for as long as what is returned lives.
    pub(crate) fn enter(&self, id: CallId, token: CancellationToken, run: Run) -> Entered<'_> {
        let held = Held::Command(token, run);
        let mut state = self.state();
        if state.is_cancelled(id) {
            held.clone().tell();
        }
        let place = state.held.entry(id);
        let is_entered = matches!(place, Entry::Vacant(_));
        place.or_insert(held);
        Entered {
            calls: self,
            id,
            is_entered,
        }
    }

    /// Runs a query until it ends or is cancelled. It is entered when it first waits.
    pub(crate) fn unless_cancelled<'a, F: Future>(
        &'a self,
        id: CallId,
        running: Pin<&'a mut F>,
    ) -> UnlessCancelled<'a, F> {
        let entered = Entered {
            calls: self,
            id,
            is_entered: false,
        };
        UnlessCancelled { entered, running }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// `true` of a call that is cancelled, until its time is over: its message may come again after
    /// that, out of the dead letters.
    fn is_cancelled(&self, id: CallId) -> bool {
        let until = self.cancelled.get(&id);
        until.is_some_and(|until| *until > Instant::now())
    }

    /// Forgets what is over, and the oldest if there are too many.
    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.in_order.front() {
            let is_over = self.cancelled.get(oldest).is_none_or(|until| *until <= now);
            if !is_over && self.in_order.len() < CANCELS_KEPT_MAX {
                return;
            }
            self.cancelled.remove(oldest);
            self.in_order.pop_front();
        }
    }
}

impl Entered<'_> {
    /// Enters a query that waits, and has its waker; `false` if it is cancelled.
    fn waits(&mut self, waker: &Waker) -> bool {
        let mut state = self.calls.state();
        if state.is_cancelled(self.id) {
            return false;
        }
        match state.held.entry(self.id) {
            Entry::Vacant(place) => {
                place.insert(Held::Query(waker.clone()));
                self.is_entered = true;
            }
            Entry::Occupied(mut place) => {
                if let (true, Held::Query(before)) = (self.is_entered, place.get_mut()) {
                    before.clone_from(waker);
                }
            }
        }
        true
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if self.is_entered {
            self.calls.state().held.remove(&self.id);
        }
    }
}

impl<F: Future> Future for UnlessCancelled<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.running.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.entered.waits(cx.waker()) => Poll::Pending,
            Poll::Pending => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_cancelled_until_its_time_is_over() {
        let (calls, id) = (HeldCalls::default(), CallId::new());
        calls.cancel(id, Instant::now() + Duration::from_secs(1));
        // So late its message may still be started, for clocks differ.
        tokio::time::advance(Duration::from_secs(1) + CLOCK_ALLOWANCE / 2).await;
        assert!(calls.is_cancelled(id));
        tokio::time::advance(CLOCK_ALLOWANCE / 2).await;
        // Its message comes again, out of the dead letters.
        assert!(!calls.is_cancelled(id));
        let token = CancellationToken::new();
        let _entered = calls.enter(id, token.clone(), Run::default());
        assert!(!token.is_cancelled());
    }
}
