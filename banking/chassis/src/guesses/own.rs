//! The counts of one process.

use super::{Admission, Rules, Verdict};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Wrong secrets by name, in memory.
#[derive(Debug)]
pub(super) struct OwnCounts {
    rules: Rules,
    names: Mutex<HashMap<String, Tried>>,
}

#[derive(Debug)]
struct Tried {
    wrong: u32,
    /// Guesses that are being looked at.
    looked_at: u32,
    /// When the last was wrong, or the first was looked at.
    last: Instant,
}

impl OwnCounts {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            names: Mutex::default(),
        }
    }

    /// What becomes of a guess; without `pauses` it does not have to wait for wrong ones.
    pub(super) fn try_admit(&self, name: &str, pauses: bool, now: Instant) -> Admission {
        let mut names = self.names();
        let tried = self.entry(&mut names, name, now);
        let pause_ends = tried.last + self.rules.pause(tried.wrong);
        if pauses && now < pause_ends {
            return Admission::After(pause_ends - now);
        }
        if tried.looked_at >= self.rules.free.saturating_sub(tried.wrong).max(1) {
            return Admission::Later;
        }
        let is_first = tried.wrong == 0 && tried.looked_at == 0;
        tried.looked_at += 1;
        Admission::Now { is_first }
    }

    pub(super) fn settle(&self, name: &str, verdict: Verdict, now: Instant) {
        let mut names = self.names();
        let Some(tried) = names.get_mut(name) else {
            return;
        };
        tried.looked_at = tried.looked_at.saturating_sub(1);
        match verdict {
            Verdict::Right => tried.wrong = 0,
            Verdict::Wrong => {
                tried.wrong = tried.wrong.saturating_add(1);
                tried.last = now;
            }
            Verdict::None => {}
        }
        if tried.wrong == 0 && tried.looked_at == 0 {
            names.remove(name);
        }
    }

    /// Notes a wrong secret that was admitted elsewhere.
    pub(super) fn note_wrong(&self, name: &str, now: Instant) {
        let mut names = self.names();
        let tried = self.entry(&mut names, name, now);
        tried.wrong = tried.wrong.saturating_add(1);
        tried.last = now;
    }

    pub(super) fn pausing(&self, name: &str, now: Instant) -> Option<Duration> {
        let names = self.names();
        let tried = names.get(name)?;
        if tried.is_forgotten(&self.rules, now) {
            return None;
        }
        let pause_ends = tried.last + self.rules.pause(tried.wrong);
        (now < pause_ends).then(|| pause_ends - now)
    }

    /// What was tried for a name.
    fn entry<'a>(
        &self,
        names: &'a mut HashMap<String, Tried>,
        name: &str,
        now: Instant,
    ) -> &'a mut Tried {
        let known = names.get(name);
        if known.is_some_and(|tried| tried.is_forgotten(&self.rules, now)) {
            names.remove(name);
        }
        if !names.contains_key(name) && names.len() >= self.rules.names_max {
            self.make_room(names, now);
        }
        names.entry(name.to_owned()).or_insert(Tried {
            wrong: 0,
            looked_at: 0,
            last: now,
        })
    }

    /// Names whose secrets are being looked at stay.
    fn make_room(&self, names: &mut HashMap<String, Tried>, now: Instant) {
        names.retain(|_, tried| !tried.is_forgotten(&self.rules, now));
        if names.len() >= self.rules.names_max {
            let idle = names.iter().filter(|(_, tried)| tried.looked_at == 0);
            let quietest = idle.min_by_key(|(_, tried)| tried.last);
            if let Some(name) = quietest.map(|(name, _)| name.clone()) {
                names.remove(&name);
            }
        }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Tried>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.names().is_empty()
    }
}

impl Tried {
    fn is_forgotten(&self, rules: &Rules, now: Instant) -> bool {
        let quiet = now.saturating_duration_since(self.last);
        self.looked_at == 0 && quiet >= rules.forgotten_after
    }
}
