//! The wall clock and the chance of simulated processes (feature `simulation`).
//!
//! Deadlines of a process are moments of tokio's clock, which a test can pause. Between processes they
//! travel by the wall clock, and ids are made of chance: a program that is to do the same again needs
//! both from outside. The crate `replybus-sim` has them, and all else that a simulation takes; without
//! this feature nothing of it is compiled.

use std::{
    cell::RefCell,
    mem,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use uuid::{Builder, Uuid};

/// What a simulated process has around it, in place of the machine's.
pub trait Surroundings: Send + Sync {
    /// The time by the wall clock of the process.
    fn wall_clock(&self) -> SystemTime;

    /// 128 bits of chance.
    fn random(&self) -> u128;
}

thread_local! {
    static AROUND: RefCell<Option<Arc<dyn Surroundings>>> = const { RefCell::new(None) };
}

/// Runs something within these surroundings: all that this thread does until it returns. What it
/// starts on other threads has the machine's.
///
/// ```
/// use replybus::{CallId, simulation::{Surroundings, within}};
/// use std::{sync::Arc, time::{Duration, SystemTime, UNIX_EPOCH}};
///
/// struct StoodStill;
///
/// impl Surroundings for StoodStill {
///     fn wall_clock(&self) -> SystemTime {
///         UNIX_EPOCH + Duration::from_secs(1)
///     }
///
///     fn random(&self) -> u128 {
///         7
///     }
/// }
///
/// let around: Arc<dyn Surroundings> = Arc::new(StoodStill);
/// let (one, other) = within(&around, || (CallId::new(), CallId::new()));
/// assert_eq!(one, other);
/// assert_ne!(CallId::new(), CallId::new());
/// ```
pub fn within<T>(surroundings: &Arc<dyn Surroundings>, work: impl FnOnce() -> T) -> T {
    let _before = Before(replace(Some(Arc::clone(surroundings))));
    work()
}

/// Puts back what was around before, also past a panic.
struct Before(Option<Arc<dyn Surroundings>>);

impl Drop for Before {
    fn drop(&mut self) {
        replace(self.0.take());
    }
}

fn replace(surroundings: Option<Arc<dyn Surroundings>>) -> Option<Arc<dyn Surroundings>> {
    AROUND.with(|around| mem::replace(&mut *around.borrow_mut(), surroundings))
}

fn around<T>(of: impl FnOnce(&dyn Surroundings) -> T) -> Option<T> {
    AROUND.with(|around| around.borrow().as_deref().map(of))
}

/// `true` on a thread that simulates a process.
pub(crate) fn is_simulated() -> bool {
    around(|_| ()).is_some()
}

pub(crate) fn wall_clock() -> Option<SystemTime> {
    around(|around| around.wall_clock())
}

pub(crate) fn uuid_v4() -> Option<Uuid> {
    let random = around(|around| around.random())?;
    Some(Builder::from_random_bytes(random.to_be_bytes()).into_uuid())
}

pub(crate) fn uuid_v7() -> Option<Uuid> {
    let (now, random) = around(|around| (around.wall_clock(), around.random()))?;
    let now: Duration = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let mut bytes = [0; 10];
    bytes.copy_from_slice(random.to_be_bytes().get(6..)?);
    Some(Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
}
