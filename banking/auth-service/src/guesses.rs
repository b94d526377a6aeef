//! Slows down who guesses passwords.
//!
//! Counted by the name that is tried, for nothing here tells one caller from another. The first few
//! wrong passwords cost nothing; after that each makes the name wait, twice as long each time and
//! never longer than [`PAUSE_MAX`], and while it waits passwords for it are not looked at, right or
//! wrong. So one who guesses has two tries a minute instead of as many as processors can hash. The
//! price: as long as a stranger keeps guessing, the user has to be faster than them to log in.
//! Sessions they have go on. Names that nobody has wait as well, so that waiting tells nothing.
//!
//! It is kept in memory, for each process of its own.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Wrong passwords that cost nothing, for people who mistype.
const FREE: u32 = 5;
/// The longest pause: who guesses is slow enough, and the user does not give up.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// So long after its last wrong password a name is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Names that are remembered; beyond them the one that was quiet longest is forgotten. Who wants to
/// be forgotten so has to guess for as many others, which takes minutes of all processors.
const NAMES_MAX: usize = 10_000;

/// Wrong passwords by name.
#[derive(Default)]
pub(crate) struct Guesses(Mutex<HashMap<String, Wrong>>);

struct Wrong {
    count: u32,
    last: Instant,
    /// No password is looked at before.
    next: Instant,
}

impl Guesses {
    /// Whether a password for `name` is looked at now. If the name has to wait, only the first of
    /// many that come at the end of its pause is.
    pub(crate) fn admit(&self, name: &str, now: Instant) -> bool {
        let mut names = self.names();
        match names.get_mut(name) {
            Some(wrong) if now < wrong.next => false,
            Some(wrong) if wrong.is_forgotten(now) => {
                names.remove(name);
                true
            }
            Some(wrong) => {
                wrong.next = now + pause(wrong.count);
                true
            }
            None => true,
        }
    }

    /// It was wrong.
    pub(crate) fn wrong(&self, name: &str, now: Instant) {
        let mut names = self.names();
        if !names.contains_key(name) && names.len() >= NAMES_MAX {
            make_room(&mut names, now);
        }
        let wrong = names.entry(name.to_owned()).or_insert(Wrong {
            count: 0,
            last: now,
            next: now,
        });
        wrong.count = wrong.count.saturating_add(1);
        wrong.last = now;
        wrong.next = now + pause(wrong.count);
    }

    /// It was right.
    pub(crate) fn right(&self, name: &str) {
        self.names().remove(name);
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Wrong>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wrong {
    fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= FORGOTTEN_AFTER
    }
}

/// The pause after `count` wrong passwords: none, and then 1 s, 2 s, 4 s ..
fn pause(count: u32) -> Duration {
    match count.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(beyond) => Duration::from_secs(2_u64.saturating_pow(beyond)).min(PAUSE_MAX),
    }
}

fn make_room(names: &mut HashMap<String, Wrong>, now: Instant) {
    names.retain(|_, wrong| !wrong.is_forgotten(now));
    if names.len() >= NAMES_MAX {
        let quietest = names.iter().min_by_key(|(_, wrong)| wrong.last);
        if let Some(name) = quietest.map(|(name, _)| name.clone()) {
            names.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn guess(guesses: &Guesses, name: &str, times: u32, now: Instant) {
        for _ in 0..times {
            guesses.wrong(name, now);
        }
    }

    #[test]
    fn the_first_wrong_passwords_cost_nothing() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        guess(&guesses, "ada", FREE - 1, now);
        assert!(guesses.admit("ada", now) && guesses.admit("ada", now));
        guess(&guesses, "ada", 1, now);
        assert!(!guesses.admit("ada", now));
        assert!(guesses.admit("bob", now), "another is not delayed");
    }

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let pauses: Vec<_> = (0..=FREE + 6).map(|count| pause(count).as_secs()).collect();
        assert_eq!(pauses, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }

    #[test]
    fn of_many_that_wait_for_the_end_of_a_pause_one_gets_through() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        guess(&guesses, "ada", FREE, now);
        let end = now + SECOND;
        let admitted = (0..10).filter(|_| guesses.admit("ada", end));
        assert_eq!(admitted.count(), 1);
    }

    #[test]
    fn the_right_password_and_time_make_up_for_wrong_ones() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        guess(&guesses, "ada", FREE + 20, now);
        assert!(!guesses.admit("ada", now + PAUSE_MAX - SECOND));
        assert!(guesses.admit("ada", now + PAUSE_MAX));
        guesses.right("ada");
        guess(&guesses, "ada", FREE - 1, now);
        assert!(guesses.admit("ada", now));

        guess(&guesses, "bob", FREE + 20, now);
        let later = now + FORGOTTEN_AFTER;
        assert!(guesses.admit("bob", later));
        guess(&guesses, "bob", FREE - 1, later);
        assert!(guesses.admit("bob", later), "the old ones are forgotten");
    }

    #[test]
    fn memory_is_bounded_and_the_quietest_name_goes_first() {
        let (guesses, mut now) = (Guesses::default(), Instant::now());
        guess(&guesses, "first", FREE, now);
        for name in 0..NAMES_MAX {
            now += Duration::from_millis(1);
            guesses.wrong(&name.to_string(), now);
        }
        assert_eq!(guesses.names().len(), NAMES_MAX);
        assert!(!guesses.names().contains_key("first"));
        assert!(guesses.names().contains_key("0"));
    }
}
