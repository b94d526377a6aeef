//! The place of one call among those that leave together.

use super::lane::Lane;
use crate::transport::{Verdict, Withdrawn};
use futures_util::task::AtomicWaker;
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

const WAITING: u8 = 0;
const WRITTEN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// One call in a lane, or in a message that has left it. What waits is changed under the lock of
/// the lane only.
#[derive(Debug, Default)]
pub(super) struct Seat {
    state: AtomicU8,
    abandoned: AtomicBool,
    verdict: OnceLock<Verdict>,
    waker: AtomicWaker,
}

impl Seat {
    pub(super) fn is_waiting(&self) -> bool {
        self.state.load(Ordering::Acquire) == WAITING
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Notes that it is about to be written. Under the lock of the lane.
    pub(super) fn take(&self) {
        self.state.store(WRITTEN, Ordering::Release);
    }

    /// Notes that it will not be. Under the lock of the lane.
    pub(super) fn withdraw(&self) {
        self.state.store(WITHDRAWN, Ordering::Release);
    }

    /// Gives the verdict; the first one counts.
    pub(super) fn fill(&self, verdict: Verdict) {
        // There is none yet, or this is not the first.
        let _ = self.verdict.set(verdict);
        self.waker.wake();
    }

    /// Has it sent again by itself. What was written of it was surely not run, or may have been.
    pub(super) fn send_alone(&self, may_have_executed: bool) {
        if !may_have_executed {
            self.state.store(WITHDRAWN, Ordering::Release);
        }
        self.fill(Verdict::Lost);
    }
}

/// A seat, as its caller holds it: what a [`Receipt`](crate::transport::Receipt) is to a call that
/// is sent alone.
#[derive(Debug)]
pub(crate) struct SeatHold {
    pub(super) seat: Arc<Seat>,
    pub(super) lane: Arc<Lane>,
}

impl SeatHold {
    /// Waits for the verdict. [`Verdict::Lost`] says that the call is to be sent again.
    pub(super) fn poll_verdict(&self, cx: &Context<'_>) -> Poll<Verdict> {
        self.seat.waker.register(cx.waker());
        match self.seat.verdict.get() {
            Some(verdict) => Poll::Ready(verdict.clone()),
            None => Poll::Pending,
        }
    }

    /// Takes the call back if it was not written yet, or surely was not run.
    pub(crate) fn withdraw(&self) -> Withdrawn {
        match self.seat.state.load(Ordering::Acquire) {
            WRITTEN => Withdrawn::TooLate,
            WITHDRAWN => Withdrawn::Surely,
            _ => self.lane.withdraw(&self.seat),
        }
    }
}

impl Drop for SeatHold {
    fn drop(&mut self) {
        self.withdraw();
        self.seat.abandoned.store(true, Ordering::Release);
    }
}
