//! What a producer has heard from its reader.

use crate::{
    reply::{ReplyStore, StoreHealth},
    transport::{Transport, TransportHealth},
    wire::stream::Credit,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// What its reader is heard by.
#[derive(Debug)]
pub(super) enum Ear {
    /// The control queue of its service.
    Control(Arc<dyn Transport>),
    /// The inbox of its process.
    Inbox(Arc<dyn ReplyStore>),
}

impl Ear {
    /// `true` while nothing can be heard.
    pub(super) fn is_deaf(&self) -> bool {
        match self {
            Self::Control(transport) => transport.health() != TransportHealth::Up,
            Self::Inbox(store) => store.health() != StoreHealth::Up,
        }
    }
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

    fn state(&self) -> MutexGuard<'_, HeardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
