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
//! It is kept in memory, for each process of its own.
//!
//! No rate limiter of tokens does that (`governor`, for one): those count what is asked for as it
//! comes, not what became of it.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Wrong secrets that cost nothing, for people who mistype.
const FREE: u32 = 5;
/// So long after its last wrong secret a name is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Names that are remembered; beyond them the one that was quiet longest is forgotten. Who wants to
/// be forgotten so has to guess for as many others.
const NAMES_MAX: usize = 10_000;

/// Wrong secrets by name.
#[derive(Debug)]
pub struct Guesses {
    free: u32,
    pause_max: Duration,
    names: Mutex<HashMap<String, Tried>>,
    /// Told whenever a guess is no longer looked at.
    settled: Notify,
}

#[derive(Debug)]
struct Tried {
    wrong: u32,
    /// Guesses that are being looked at.
    looked_at: u32,
    /// When the last was wrong, or the first was looked at.
    last: Instant,
}

/// A guess that may be looked at. Dropped without a verdict, it is as if it had not been made.
#[derive(Debug)]
#[must_use = "a guess that is dropped does not count"]
pub struct Guess<'a> {
    guesses: &'a Guesses,
    name: String,
    verdict: Option<bool>,
    is_first: bool,
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
enum Admission {
    Now {
        is_first: bool,
    },
    After(Duration),
    /// When it is known what those are that are being looked at.
    Later,
}

impl Guesses {
    /// No guesses yet. No pause will be longer than `pause_max`.
    #[must_use]
    pub fn new(pause_max: Duration) -> Self {
        Self::with_free(FREE, pause_max)
    }

    /// The same, of which so many wrong ones cost nothing.
    #[must_use]
    pub fn with_free(free: u32, pause_max: Duration) -> Self {
        Self {
            free,
            pause_max,
            names: Mutex::default(),
            settled: Notify::new(),
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
        loop {
            let mut settled = pin!(self.settled.notified());
            settled.as_mut().enable();
            match self.try_admit(name, Instant::now()) {
                Admission::Now { is_first } => {
                    return Ok(Guess {
                        guesses: self,
                        name: name.to_owned(),
                        verdict: None,
                        is_first,
                    });
                }
                Admission::After(pause) => return Err(Paused(pause)),
                Admission::Later => settled.await,
            }
        }
    }

    /// Notes a wrong secret for `name` that was admitted elsewhere.
    pub fn note_wrong(&self, name: &str) {
        let now = Instant::now();
        let mut names = self.names();
        let tried = entry(&mut names, name, now);
        tried.wrong = tried.wrong.saturating_add(1);
        tried.last = now;
    }

    /// The time that `name` has to wait, if it has to.
    #[must_use]
    pub fn pausing(&self, name: &str) -> Option<Paused> {
        let now = Instant::now();
        let names = self.names();
        let tried = names.get(name).filter(|tried| !tried.is_forgotten(now))?;
        let pause_ends = tried.last + self.pause(tried.wrong);
        (now < pause_ends).then(|| Paused(pause_ends - now))
    }

    fn try_admit(&self, name: &str, now: Instant) -> Admission {
        let mut names = self.names();
        let tried = entry(&mut names, name, now);
        let pause_ends = tried.last + self.pause(tried.wrong);
        if now < pause_ends {
            return Admission::After(pause_ends - now);
        }
        if tried.looked_at >= self.free.saturating_sub(tried.wrong).max(1) {
            return Admission::Later;
        }
        let is_first = tried.wrong == 0 && tried.looked_at == 0;
        tried.looked_at += 1;
        Admission::Now { is_first }
    }

    fn settle(&self, name: &str, verdict: Option<bool>, now: Instant) {
        let mut names = self.names();
        if let Some(tried) = names.get_mut(name) {
            tried.looked_at = tried.looked_at.saturating_sub(1);
            match verdict {
                Some(true) => tried.wrong = 0,
                Some(false) => {
                    tried.wrong = tried.wrong.saturating_add(1);
                    tried.last = now;
                }
                None => {}
            }
            if tried.wrong == 0 && tried.looked_at == 0 {
                names.remove(name);
            }
        }
        drop(names);
        self.settled.notify_waiters();
    }

    /// The pause after so many wrong secrets: none, and then 1 s, 2 s, 4 s ..
    fn pause(&self, wrong: u32) -> Duration {
        match wrong.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(beyond) => {
                let pause = Duration::from_secs(2_u64.saturating_pow(beyond));
                pause.min(self.pause_max)
            }
        }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Tried>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guess<'_> {
    /// `true` if nothing was wrong for its name of late, and nothing else is being looked at.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.is_first
    }

    /// It was wrong.
    pub fn wrong(mut self) {
        self.verdict = Some(false);
    }

    /// It was right, which makes up for the wrong ones.
    pub fn right(mut self) {
        self.verdict = Some(true);
    }
}

impl Drop for Guess<'_> {
    fn drop(&mut self) {
        let verdict = self.verdict;
        self.guesses.settle(&self.name, verdict, Instant::now());
    }
}

impl Tried {
    fn is_forgotten(&self, now: Instant) -> bool {
        let quiet = now.saturating_duration_since(self.last);
        self.looked_at == 0 && quiet >= FORGOTTEN_AFTER
    }
}

/// What was tried for a name.
fn entry<'a>(names: &'a mut HashMap<String, Tried>, name: &str, now: Instant) -> &'a mut Tried {
    if names.get(name).is_some_and(|tried| tried.is_forgotten(now)) {
        names.remove(name);
    }
    if !names.contains_key(name) && names.len() >= NAMES_MAX {
        make_room(names, now);
    }
    names.entry(name.to_owned()).or_insert(Tried {
        wrong: 0,
        looked_at: 0,
        last: now,
    })
}

/// Names whose secrets are being looked at stay.
fn make_room(names: &mut HashMap<String, Tried>, now: Instant) {
    names.retain(|_, tried| !tried.is_forgotten(now));
    if names.len() >= NAMES_MAX {
        let idle = names.iter().filter(|(_, tried)| tried.looked_at == 0);
        let quietest = idle.min_by_key(|(_, tried)| tried.last);
        if let Some(name) = quietest.map(|(name, _)| name.clone()) {
            names.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);
    const PAUSE_MAX: Duration = Duration::from_secs(30);

    fn guesses() -> Guesses {
        Guesses::new(PAUSE_MAX)
    }

    /// What becomes of a guess now; nothing if it waits for others.
    fn admit<'a>(guesses: &'a Guesses, name: &str) -> Option<Result<Guess<'a>, Paused>> {
        guesses.admit(name).now_or_never()
    }

    fn paused(guesses: &Guesses, name: &str) -> Option<Duration> {
        match admit(guesses, name) {
            Some(Err(Paused(pause))) => Some(pause),
            Some(Ok(_)) | None => None,
        }
    }

    /// So many wrong ones, each as soon as it is looked at.
    async fn guess(guesses: &Guesses, name: &str, times: u32) {
        for _ in 0..times {
            while let Some(pause) = paused(guesses, name) {
                advance(pause).await;
            }
            admit(guesses, name).unwrap().unwrap().wrong();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_wrong_secrets_cost_nothing() {
        let guesses = guesses();
        guess(&guesses, "ada", FREE - 1).await;
        assert_eq!(paused(&guesses, "ada"), None);
        guess(&guesses, "ada", 1).await;
        assert_eq!(paused(&guesses, "ada"), Some(SECOND));
        assert_eq!(paused(&guesses, "bob"), None, "another is not delayed");
        advance(SECOND / 4).await;
        assert_eq!(paused(&guesses, "ada"), Some(SECOND * 3 / 4));
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let guesses = guesses();
        let pauses = (0..=FREE + 6).map(|count| guesses.pause(count).as_secs());
        let pauses: Vec<_> = pauses.collect();
        assert_eq!(pauses, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(guesses.pause(u32::MAX), PAUSE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_wrong_ones_at_once_no_more_are_looked_at_than_one_after_the_other() {
        let guesses = guesses();
        let mut looked_at: Vec<_> = (0..128).filter_map(|_| admit(&guesses, "ada")).collect();
        assert_eq!(looked_at.len(), 5, "the others wait for them");
        let mut waits = pin!(guesses.admit("ada"));
        assert!(waits.as_mut().now_or_never().is_none());
        for guess in looked_at.drain(..) {
            guess.unwrap().wrong();
        }
        assert_eq!(waits.await.err(), Some(Paused(SECOND)));
        // At the end of the pause it is one.
        advance(SECOND).await;
        let next = admit(&guesses, "ada").unwrap().unwrap();
        assert!(admit(&guesses, "ada").is_none());
        next.wrong();
        assert_eq!(paused(&guesses, "ada"), Some(2 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn right_ones_at_once_all_get_through() {
        let guesses = guesses();
        let first: Vec<_> = (0..FREE)
            .map(|_| admit(&guesses, "ada").unwrap().unwrap())
            .collect();
        let mut waits = pin!(guesses.admit("ada"));
        assert!(waits.as_mut().now_or_never().is_none());
        first.into_iter().for_each(Guess::right);
        waits.await.unwrap().right();
        assert!(guesses.names().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_brake_notes_what_is_wrong_and_stops_nobody_by_itself() {
        let brake = Guesses::with_free(3, PAUSE_MAX);
        for _ in 0..2 {
            brake.note_wrong("ada");
        }
        assert_eq!(brake.pausing("ada"), None);
        brake.note_wrong("ada");
        assert_eq!(brake.pausing("ada"), Some(Paused(SECOND)));
        assert_eq!(brake.pausing("bob"), None);
        advance(FORGOTTEN_AFTER).await;
        assert_eq!(brake.pausing("ada"), None);
        let guesses = guesses();
        assert!(admit(&guesses, "ada").unwrap().unwrap().is_first());
        guess(&guesses, "ada", 1).await;
        assert!(!admit(&guesses, "ada").unwrap().unwrap().is_first());
    }

    #[tokio::test(start_paused = true)]
    async fn a_guess_without_a_verdict_does_not_count() {
        let guesses = guesses();
        for _ in 0..20 {
            drop(admit(&guesses, "ada").unwrap().unwrap());
        }
        assert!(guesses.names().is_empty());
        guess(&guesses, "ada", FREE).await;
        advance(SECOND).await;
        drop(admit(&guesses, "ada").unwrap().unwrap());
        // Nothing was lost by it: the next is looked at now, and the pause after it is the second.
        admit(&guesses, "ada").unwrap().unwrap().wrong();
        assert_eq!(paused(&guesses, "ada"), Some(2 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn the_right_secret_and_time_make_up_for_wrong_ones() {
        let guesses = guesses();
        guess(&guesses, "ada", FREE + 20).await;
        assert_eq!(paused(&guesses, "ada"), Some(PAUSE_MAX));
        advance(PAUSE_MAX).await;
        admit(&guesses, "ada").unwrap().unwrap().right();
        guess(&guesses, "ada", FREE - 1).await;
        assert_eq!(paused(&guesses, "ada"), None);

        guess(&guesses, "bob", FREE + 20).await;
        advance(FORGOTTEN_AFTER).await;
        guess(&guesses, "bob", FREE - 1).await;
        assert_eq!(paused(&guesses, "bob"), None, "the old ones are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_the_quietest_name_goes_first() {
        let guesses = guesses();
        let looked_at = admit(&guesses, "looked at").unwrap().unwrap();
        guess(&guesses, "first", FREE).await;
        for name in 0..NAMES_MAX {
            advance(Duration::from_millis(1)).await;
            guess(&guesses, &name.to_string(), 1).await;
        }
        let remembers = |name: &str| guesses.names().contains_key(name);
        assert_eq!(guesses.names().len(), NAMES_MAX);
        assert!(remembers("looked at") && !remembers("first"));
        assert!(!remembers("0") && remembers("1"));
        looked_at.wrong();
        assert!(remembers("looked at"));
    }
}
