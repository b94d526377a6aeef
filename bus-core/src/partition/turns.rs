//! Whether a later call of a key was made: one that is sent again takes its place behind it.

use std::sync::atomic::{AtomicU32, Ordering};

/// Keys share a counter with others of their partition, by their hashes: of two that do, a call of
/// one counts as a later one of the other.
const COUNTERS: usize = 256;

/// The last call of each key of one partition, as far as this process made them.
#[derive(Debug)]
pub(crate) struct Turns(Box<[AtomicU32]>);

impl Default for Turns {
    fn default() -> Self {
        Self((0..COUNTERS).map(|_| AtomicU32::default()).collect())
    }
}

impl Turns {
    /// The turn of a call that is about to be published.
    pub(crate) fn take(&self, key: u32) -> u32 {
        self.counter(key).map_or(0, |last| {
            last.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
        })
    }

    /// `true` if no later call was made.
    pub(crate) fn is_last(&self, key: u32, turn: u32) -> bool {
        self.counter(key)
            .is_none_or(|last| last.load(Ordering::Acquire) == turn)
    }

    fn counter(&self, key: u32) -> Option<&AtomicU32> {
        // Their remainder is that of the partition.
        let spread = key.wrapping_mul(0x9e37_79b1).to_be_bytes();
        self.0.get(usize::from(spread[0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_the_last_of_its_key_until_another_is_made() {
        let turns = Turns::default();
        let (first, other) = (turns.take(16), turns.take(32));
        assert!(turns.is_last(16, first) && turns.is_last(32, other));
        let second = turns.take(16);
        assert!(!turns.is_last(16, first) && turns.is_last(16, second));
        assert!(turns.is_last(32, other));
    }
}
