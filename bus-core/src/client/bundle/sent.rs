//! A bundle that was written: what becomes of it becomes of each of its entries.

use super::{pace::Pace, seat::Seat};
use crate::{
    call_id::CallId,
    client::waiters::Waiters,
    transport::{SharedVerdict, Verdict},
    wire::ReplyFrame,
};
use bytes::Bytes;
use std::sync::Arc;

/// A bundle that was written, for as long as a caller of one of its entries asks about it.
#[derive(Debug)]
pub(crate) struct SentBundle {
    pub(super) id: CallId,
    pub(super) seats: Vec<Arc<Seat>>,
    pub(super) pace: Arc<Pace>,
    pub(super) waiters: Arc<Waiters>,
}

impl SentBundle {
    /// Takes a reply to the bundle itself: whoever has got it does not take bundles, or can't read
    /// this one. Each of its entries is sent again by itself, as a repetition if it may have been
    /// run.
    pub(crate) fn refused(&self, frame: &Bytes) {
        let may_have_executed = match ReplyFrame::decode(frame) {
            Ok((_, ReplyFrame::Fault(fault))) => fault.may_have_executed,
            // No service answers a bundle so.
            Ok(_) | Err(_) => true,
        };
        self.send_alone(may_have_executed);
    }

    pub(super) fn send_alone(&self, may_have_executed: bool) {
        self.pace.stop();
        for seat in &self.seats {
            seat.send_alone(may_have_executed);
        }
    }
}

impl SharedVerdict for SentBundle {
    fn abandoned(&self) -> bool {
        self.seats.iter().all(|seat| seat.is_abandoned())
    }

    fn fill(&self, verdict: Verdict) {
        match verdict {
            // What the broker does not like may be the bundle, and was not taken.
            Verdict::Denied(_) | Verdict::Unacceptable(_) => self.send_alone(false),
            verdict => self
                .seats
                .iter()
                .for_each(|seat| seat.fill(verdict.clone())),
        }
    }
}

impl Drop for SentBundle {
    fn drop(&mut self) {
        self.waiters.forget_bundle(self.id);
        // Those that have a verdict keep it.
        self.seats.iter().for_each(|seat| seat.fill(Verdict::Lost));
    }
}
