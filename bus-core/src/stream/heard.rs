//! What a producer has heard from its reader.

use crate::wire::stream::Credit;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// What was heard, by whoever takes in credits, for the producer.
#[derive(Debug)]
pub(super) struct Heard {
    state: Mutex<HeardState>,
    pub(super) changed: Notify,
    /// Fired when there is no reader any more.
    pub(super) gone: CancellationToken,
}

/// The sum of what was said.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeardState {
    pub(super) taken: u64,
    pub(super) again: bool,
    /// When it was heard last.
    pub(super) at: Instant,
}

impl Heard {
    /// Nothing yet: a reader's silence counts from now on.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(HeardState {
                taken: 0,
                again: false,
                at: Instant::now(),
            }),
            changed: Notify::new(),
            gone: CancellationToken::new(),
        }
    }

    pub(super) fn hear(&self, credit: Credit) {
        let mut state = self.state();
        // Not the most that was ever said, which anybody can say: the reader says it again.
        state.taken = credit.taken;
        state.again |= credit.again;
        state.at = Instant::now();
        drop(state);
        if credit.gone {
            self.gone.cancel();
        }
        self.changed.notify_one();
    }

    /// What was said since it was looked at last.
    pub(super) fn take(&self) -> HeardState {
        let mut state = self.state();
        let taken = *state;
        state.again = false;
        taken
    }

    /// Counts its silence from now on.
    pub(super) fn forgive_silence(&self) {
        self.state().at = Instant::now();
    }

    fn state(&self) -> MutexGuard<'_, HeardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
