//! Waiting for a state. Nothing here proves anything by its time: a bound only ends what would hang.

use std::{panic::Location, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// Within this everything a test waits for has happened, on a machine that does much else.
pub const AT_MOST: Duration = Duration::from_secs(240);

/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Asks until the answer is yes.
///
/// # Panics
/// The answer is still no after [`AT_MOST`].
///
/// # Cancel safety
/// Dropped, it asks no more.
#[track_caller]
pub fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut asked: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        let end = Instant::now() + AT_MOST;
        while !asked().await {
            let in_time = Instant::now() < end;
            assert!(in_time, "not within {AT_MOST:?}: {what} ({caller})");
            sleep(LOOK_EVERY).await;
        }
    }
}

/// What comes of `awaited`, which must not hang.
///
/// # Panics
/// Nothing comes of it in [`AT_MOST`].
///
/// # Cancel safety
/// That of `awaited`.
#[track_caller]
#[allow(clippy::panic, reason = "only tests wait so, and fail by panicking")]
pub fn bounded<T>(awaited: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        match timeout(AT_MOST, awaited).await {
            Ok(ended) => ended,
            Err(_) => panic!("not within {AT_MOST:?} ({caller})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "not within 240s: it is so")]
    async fn what_never_is_fails_after_the_bound() {
        eventually("it is so", || async { false }).await;
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "not within 240s")]
    async fn what_hangs_fails_after_the_bound() {
        bounded(std::future::pending::<()>()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_is_waited_for() {
        let start = Instant::now();
        let late = || async move { start.elapsed() > AT_MOST / 2 };
        eventually("half the bound has passed", late).await;
    }
}
