//! Slows down who guesses secrets.
//!
//! Counted by a name, such as that which is tried together with the address of who tries it. The
//! first few wrong secrets cost nothing; after that each makes the name wait, twice as long each
//! time up to a longest pause, and while it waits secrets for it are not looked at, right or wrong.
//! So one who guesses has a few tries a minute instead of as many as processors can check.
//!
//! A second count, of what is tried alone, can be a brake for who guesses from many addresses: it
//! notes what was wrong and tells whether it is too much, and it is up to its user whom it stops.
//!
//! Guesses that are being looked at may all turn out wrong. So no more are looked at than would be
//! if they had; the next waits for what becomes of them. Many at once see no more than many one
//! after the other.
//!
//! The counts are those of a process, in memory, or shared by the replicas of a program, in
//! Redis, where a guess of a process that was killed lapses. Each process keeps its own beside
//! them: while Redis is away it goes on with what it saw itself, so that who guesses has at most as
//! many more tries as there are replicas, and who was wrong here and right elsewhere may have to
//! wait for a pause.
//!
//! No rate limiter of tokens does that (`governor`, for one): those count what is asked for as it
//! comes, not what became of it.

mod own;
mod shared;

use crate::replicas::Replicas;
use own::OwnCounts;
use shared::SharedCounts;
use std::{mem::replace, pin::pin, sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep},
};
use uuid::Uuid;

/// Wrong secrets that cost nothing, for people who mistype.
const FREE: u32 = 5;
/// The first pause. Each one after it is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// So long after its last wrong secret a name is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// So long after a guess was admitted its process has been killed: a password waits 5 s for its
/// turn, and takes a moment.
const LAPSES_AFTER: Duration = Duration::from_secs(15);
/// Names that are remembered; beyond them the one that was quiet longest is forgotten. Who wants to
/// be forgotten so has to guess for as many others.
const NAMES_MAX: usize = 10_000;
/// Between two looks at what other replicas are looking at.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What wrong secrets cost.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    free: u32,
    pause_first: Duration,
    pause_max: Duration,
    forgotten_after: Duration,
    lapses_after: Duration,
    names_max: usize,
}

impl Rules {
    /// Five cost nothing, and no pause is longer than `pause_max`.
    #[must_use]
    pub const fn with_pauses_up_to(pause_max: Duration) -> Self {
        Self {
            free: FREE,
            pause_first: PAUSE_FIRST,
            pause_max,
            forgotten_after: FORGOTTEN_AFTER,
            lapses_after: LAPSES_AFTER,
            names_max: NAMES_MAX,
        }
    }

    /// The same, of which so many wrong ones cost nothing.
    #[must_use]
    pub const fn free(mut self, free: u32) -> Self {
        self.free = free;
        self
    }

    /// The pause after so many wrong secrets: none, and then 1 s, 2 s, 4 s ..
    fn pause(&self, wrong: u32) -> Duration {
        match wrong.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(beyond) => {
                let pause = self
                    .pause_first
                    .saturating_mul(2_u32.saturating_pow(beyond));
                pause.min(self.pause_max)
            }
        }
    }
}

/// Wrong secrets by name.
#[derive(Debug)]
pub struct Guesses {
    own: OwnCounts,
    shared: Option<Arc<SharedCounts>>,
    /// Told whenever a guess of this process is no longer looked at.
    settled: Notify,
}

/// A guess that may be looked at. Dropped without a verdict, it is as if it had not been made.
#[derive(Debug)]
#[must_use = "a guess that is dropped does not count"]
pub struct Guess<'a> {
    guesses: &'a Guesses,
    name: String,
    /// What replicas know it by; nothing if they know nothing of it.
    id: Option<Uuid>,
    is_first: bool,
    is_settled: bool,
}

/// A name that has to wait: how long, from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paused(pub Duration);

impl Paused {
    /// Whole seconds, none too few; at least 1.
    #[must_use]
    pub fn seconds(self) -> u64 {
        let seconds = self.0.as_millis().div_ceil(1000).max(1);
        u64::try_from(seconds).unwrap_or(u64::MAX)
    }
}

/// What becomes of a guess now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Now {
        is_first: bool,
    },
    After(Duration),
    /// When it is known what those are that are being looked at.
    Later,
}

/// What became of a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
    None,
}

impl Guesses {
    /// Those of this process alone.
    #[must_use]
    pub fn of_process(rules: Rules) -> Self {
        Self {
            own: OwnCounts::new(rules),
            shared: None,
            settled: Notify::new(),
        }
    }

    /// Those of all replicas together.
    pub(crate) fn of_replicas(rules: Rules, replicas: Replicas) -> Self {
        Self {
            shared: Some(Arc::new(SharedCounts::new(rules, replicas))),
            ..Self::of_process(rules)
        }
    }

    /// Waits until a secret for `name` may be looked at, if that depends on guesses that are being
    /// looked at.
    ///
    /// # Errors
    /// The name has to wait for its wrong secrets.
    ///
    /// # Cancel safety
    /// Safe; dropped, no guess was made.
    pub async fn admit(&self, name: &str) -> Result<Guess<'_>, Paused> {
        let mut guess = self.admit_here(name).await?;
        let Some(shared) = &self.shared else {
            return Ok(guess);
        };
        let id = Uuid::new_v4();
        loop {
            guess.id = Some(id);
            match shared.try_admit(name, id).await {
                Some(Admission::Now { is_first }) => {
                    guess.is_first = is_first;
                    return Ok(guess);
                }
                Some(Admission::After(pause)) => {
                    guess.id = None;
                    return Err(Paused(pause));
                }
                Some(Admission::Later) => sleep(LOOK_AGAIN).await,
                None => {
                    return match self.own.pausing(name, Instant::now()) {
                        Some(pause) => Err(Paused(pause)),
                        None => Ok(guess),
                    };
                }
            }
        }
    }

    /// The same by the counts of this process: their pauses, unless those of replicas are to be
    /// asked for, and in any case their guesses that are being looked at, so that not all who wait
    /// ask Redis.
    async fn admit_here(&self, name: &str) -> Result<Guess<'_>, Paused> {
        loop {
            let mut settled = pin!(self.settled.notified());
            settled.as_mut().enable();
            let pauses = self.shared.is_none();
            match self.own.try_admit(name, pauses, Instant::now()) {
                Admission::Now { is_first } => {
                    return Ok(Guess {
                        guesses: self,
                        name: name.to_owned(),
                        id: None,
                        is_first,
                        is_settled: false,
                    });
                }
                Admission::After(pause) => return Err(Paused(pause)),
                Admission::Later => settled.await,
            }
        }
    }

    /// Notes a wrong secret for `name` that was admitted elsewhere.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, replicas may not know of it.
    pub async fn note_wrong(&self, name: &str) {
        self.own.note_wrong(name, Instant::now());
        if let Some(shared) = &self.shared {
            shared.settle(name, None, Verdict::Wrong).await;
        }
    }

    /// The time that `name` has to wait, if it has to.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn pausing(&self, name: &str) -> Option<Paused> {
        let pause = match &self.shared {
            None => None,
            Some(shared) => shared.pausing(name).await,
        };
        let pause = pause.unwrap_or_else(|| self.own.pausing(name, Instant::now()));
        pause.map(Paused)
    }
}

impl Guess<'_> {
    /// `true` if nothing was wrong for its name of late, and nothing else is being looked at.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.is_first
    }

    /// It was wrong.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it is noted all the same.
    pub async fn wrong(self) {
        self.end(Verdict::Wrong).await;
    }

    /// It was right, which makes up for the wrong ones.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it is noted all the same.
    pub async fn right(self) {
        self.end(Verdict::Right).await;
    }

    async fn end(mut self, verdict: Verdict) {
        if let Some(told) = self.settle(verdict) {
            // It does not panic, and a runtime that ends tells nobody any more.
            let _ = told.await;
        }
    }

    /// Settles it here, and begins to tell the replicas.
    fn settle(&mut self, verdict: Verdict) -> Option<JoinHandle<()>> {
        if replace(&mut self.is_settled, true) {
            return None;
        }
        let guesses = self.guesses;
        guesses.own.settle(&self.name, verdict, Instant::now());
        guesses.settled.notify_waiters();
        let (id, shared) = (self.id?, Arc::clone(guesses.shared.as_ref()?));
        let name = self.name.clone();
        let telling = async move { shared.settle(&name, Some(id), verdict).await };
        Some(Handle::try_current().ok()?.spawn(telling))
    }
}

impl Drop for Guess<'_> {
    fn drop(&mut self) {
        self.settle(Verdict::None);
    }
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;
