//! Publishes that the broker may refuse by closing their channel, as it did with others like them.
//! They are tried on a channel of their own, so that nobody else loses theirs.

use super::{
    complaint::{Complaint, Target},
    job::id_of,
};
use crate::{
    message::{Message, Text},
    transport::Verdict,
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// The time for which publishes are tried apart after a complaint about one like them. The broker
/// is asked about each of them all the same.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// Complaints that are remembered: kinds of publishes, not publishes.
const COMPLAINTS_MAX: usize = 64;

/// Publishes that are suspected by their `message_id`. Beyond them a channel is lost once more.
const IDS_MAX: usize = 8192;

/// The publishes to try apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Suspects(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// There are none but for a fault: publishes pay for a look at this, and no more.
    any: AtomicBool,
    /// There are new ones since it was asked.
    changed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    complaints: Vec<(Complaint, Instant)>,
    ids: HashMap<Text, Instant>,
}

/// A publish whose channel the broker closed with a complaint.
pub(super) struct Accused<'a> {
    pub(super) id: &'a str,
    pub(super) target: &'a Target,
    /// The only one on the channel that had no verdict.
    pub(super) alone: bool,
    /// The broker had taken others like it on this channel.
    pub(super) allowed: bool,
}

impl Suspects {
    /// The verdict on a publish whose channel was closed with `complaint`. Only what surely was not
    /// taken is refused; of all else nobody knows. What may be to blame is tried apart next time.
    pub(super) fn judge(&self, complaint: &Complaint, accused: &Accused<'_>) -> Verdict {
        let concerned = complaint.concerns(accused.target);
        let never_taken = !accused.allowed || complaint.has_always_held();
        match concerned {
            Some(false) => Verdict::Lost,
            Some(true) if accused.alone || never_taken => complaint.verdict(),
            None if accused.alone => complaint.verdict(),
            Some(true) => Verdict::Lost,
            None => {
                self.suspect(accused.id);
                Verdict::Lost
            }
        }
    }

    /// Has publishes that a complaint is about tried apart from now on.
    pub(super) fn remember(&self, complaint: Complaint) {
        let now = Instant::now();
        let mut state = self.state();
        state.forget(now, |known| *known == complaint);
        if state.complaints.len() < COMPLAINTS_MAX {
            state.complaints.push((complaint, now + REMEMBERED_FOR));
        }
        self.changed(&state);
    }

    fn suspect(&self, id: &str) {
        let now = Instant::now();
        let mut state = self.state();
        if state.ids.len() >= IDS_MAX {
            state.ids.retain(|_, until| *until > now);
        }
        if state.ids.len() < IDS_MAX {
            state.ids.insert(id.into(), now + REMEMBERED_FOR);
        }
        self.changed(&state);
    }

    /// The broker took it: it was not to blame, and others like it are not.
    pub(super) fn clear(&self, id: &str, target: &Target) {
        if !self.0.any.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state();
        state.ids.remove(id);
        state.forget(Instant::now(), |known| known.concerns(target) == Some(true));
        self.0.any.store(!state.is_empty(), Ordering::Relaxed);
    }

    /// `true` if the message is to be tried apart.
    pub(super) fn holds(&self, message: &Message) -> bool {
        self.0.any.load(Ordering::Relaxed) && self.state().holds(message)
    }

    /// `true` once after there were new ones.
    pub(super) fn take_changed(&self) -> bool {
        self.0.any.load(Ordering::Relaxed) && self.0.changed.swap(false, Ordering::Relaxed)
    }

    fn changed(&self, state: &State) {
        self.0.any.store(!state.is_empty(), Ordering::Relaxed);
        self.0.changed.store(true, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.complaints.is_empty() && self.ids.is_empty()
    }

    fn holds(&self, message: &Message) -> bool {
        let now = Instant::now();
        let id = id_of(&message.properties);
        if id.is_some_and(|id| self.ids.get(id).is_some_and(|until| *until > now)) {
            return true;
        }
        let target = Target::of(message);
        let mut known = self.complaints.iter().filter(|(_, until)| *until > now);
        known.any(|(complaint, _)| complaint.concerns(&target) == Some(true))
    }

    /// Forgets complaints that are old, or that `which` says.
    fn forget(&mut self, now: Instant, which: impl Fn(&Complaint) -> bool) {
        let complaints = &mut self.complaints;
        complaints.retain(|(complaint, until)| *until > now && !which(complaint));
    }
}
