//! The notes of what this process delays.

use super::{DelayedKind, DelayedMessage, message::TicketPart};
use crate::{
    call_id::CallId,
    limits::DELAYED_NOTED_AT_ONCE,
    message::Text,
    reply::{DelayedNote, ReplyStore, StoreError},
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::task::TaskTracker;

/// The time the store may take for a note: nobody waits for it.
const NOTED_WITHIN: Duration = Duration::from_secs(1);

/// Writes notes, beside whatever else happens. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DelayedNotes {
    store: Arc<dyn ReplyStore>,
    tasks: TaskTracker,
    app_id: Text,
    at_once: Arc<Semaphore>,
}

/// What is delayed.
pub(crate) struct Delayed<'a> {
    pub(crate) id: CallId,
    pub(crate) kind: DelayedKind,
    /// Without the namespace.
    pub(crate) place: &'a str,
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    /// Since the Unix epoch.
    pub(crate) due: Duration,
    pub(crate) keyed: bool,
    pub(crate) ticket: Option<TicketPart>,
}

impl DelayedNotes {
    pub(crate) fn new(store: Arc<dyn ReplyStore>, tasks: TaskTracker, app_id: Text) -> Self {
        Self {
            store,
            tasks,
            app_id,
            at_once: Arc::new(Semaphore::new(DELAYED_NOTED_AT_ONCE)),
        }
    }

    /// Notes a message that the broker has, unless too many are being noted.
    pub(crate) fn note(&self, delayed: &Delayed<'_>) {
        let message = DelayedMessage {
            id: delayed.id,
            kind: delayed.kind,
            place: delayed.place.to_owned(),
            service: delayed.service.to_owned(),
            name: delayed.name.to_owned(),
            due_at: at(delayed.due),
            program: self.app_id.to_string(),
            keyed: delayed.keyed,
            ticket: delayed.ticket,
        };
        let Some(record) = message.record() else {
            return;
        };
        let note = DelayedNote::new(message.place.as_str(), message.id, message.due(), record);
        let store = Arc::clone(&self.store);
        self.write(async move { store.note_delayed(&note).await });
    }

    /// Forgets a message that was cancelled.
    pub(crate) fn forget(&self, place: &str, id: CallId) {
        let (store, place) = (Arc::clone(&self.store), place.to_owned());
        self.write(async move { store.forget_delayed(&place, id).await });
    }

    fn write(&self, write: impl Future<Output = Result<(), StoreError>> + Send + 'static) {
        let Ok(place) = Arc::clone(&self.at_once).try_acquire_owned() else {
            return;
        };
        self.tasks.spawn(async move {
            if !matches!(timeout(NOTED_WITHIN, write).await, Ok(Ok(()))) {
                tracing::debug!("the list of what is delayed is not as it could be");
            }
            drop(place);
        });
    }
}

/// That long after the Unix epoch.
fn at(since: Duration) -> SystemTime {
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

impl fmt::Debug for DelayedNotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayedNotes").finish_non_exhaustive()
    }
}
