//! The copies of one call that may be on their way, or run.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// The number of copies of a call that may have reached the broker, and may be run. Clones of a
/// request share it: a layer that repeats a call makes further copies of the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copies(Arc<AtomicU32>);

impl Copies {
    /// Counts one that is about to be published. Returns whether it is a repetition: another may
    /// have reached the broker.
    pub(super) fn begin(&self) -> bool {
        self.0.fetch_add(1, Ordering::AcqRel) > 0
    }

    /// Stops counting one that surely will not be run.
    pub(super) fn took_back(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// True if any may have reached the broker.
    pub(super) fn are_any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    /// True if more than one may have reached the broker.
    pub(super) fn are_several(&self) -> bool {
        self.0.load(Ordering::Acquire) > 1
    }
}
