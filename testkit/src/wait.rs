//! Waiting for a state. Nothing here proves anything by its time: a bound only ends what would
//! hang.

use std::{
    fmt,
    panic::Location,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// Within this everything a test waits for has happened, on a machine that does much else.
pub const AT_MOST: Duration = Duration::from_secs(240);

/// As [`AT_MOST`], once a wait of this process was in vain: what is broken may be awaited by many
/// tests, and is to be known soon.
const AT_MOST_WHEN_BROKEN: Duration = Duration::from_secs(90);

/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// `true` once a wait of this process was in vain.
static BROKEN: AtomicBool = AtomicBool::new(false);

/// The bound of waits from now on.
fn at_most() -> Duration {
    if BROKEN.load(Ordering::Relaxed) {
        AT_MOST_WHEN_BROKEN
    } else {
        AT_MOST
    }
}

/// Ends a wait that was in vain.
#[allow(clippy::panic, reason = "only tests wait so, and fail by panicking")]
fn in_vain(waited: Duration, what: &str, caller: &Location<'_>) -> ! {
    let why_so_soon = if BROKEN.swap(true, Ordering::Relaxed) {
        ", shortened because another wait of this process was in vain"
    } else {
        ""
    };
    panic!("not within {waited:?}{why_so_soon}: {what} ({caller})");
}

/// Asks until the answer is yes.
///
/// # Panics
/// The answer is still no after [`AT_MOST`], or after 90 s if another wait was in vain before.
///
/// # Cancel safety
/// Dropped, it asks no more.
#[track_caller]
pub fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut asked: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    until(what, move || {
        let answer = asked();
        async move { answer.await.then_some(()).ok_or("no") }
    })
}

/// Asks until there is an answer, and gives it. Why there is none yet is part of a failure.
///
/// # Panics
/// There is still none after [`AT_MOST`], or after 90 s if another wait was in vain before.
///
/// # Cancel safety
/// Dropped, it asks no more.
#[track_caller]
pub fn until<T, E: fmt::Debug, F: Future<Output = Result<T, E>>>(
    what: &str,
    mut asked: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let (begun, limit) = (Instant::now(), at_most());
        loop {
            match asked().await {
                Ok(answer) => return answer,
                Err(last) if begun.elapsed() > limit => {
                    in_vain(limit, &format!("{what}; at last: {last:?}"), caller)
                }
                Err(_) => sleep(LOOK_EVERY).await,
            }
        }
    }
}

/// What comes of `awaited`, which must not hang.
///
/// # Panics
/// Nothing comes of it in [`AT_MOST`], or in 90 s if another wait was in vain before.
///
/// # Cancel safety
/// That of `awaited`.
#[track_caller]
pub fn bounded<T>(awaited: impl Future<Output = T>) -> impl Future<Output = T> {
    soon("it ends", awaited)
}

/// The same, of what has a name.
///
/// # Panics
/// As [`bounded`].
///
/// # Cancel safety
/// That of `awaited`.
#[track_caller]
pub fn soon<T>(what: &str, awaited: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let limit = at_most();
        match timeout(limit, awaited).await {
            Ok(ended) => ended,
            Err(_) => in_vain(limit, what, caller),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = ": it is so; at last: ")]
    async fn what_never_is_fails_after_the_bound() {
        eventually("it is so", || async { false }).await;
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = ": it ends (")]
    async fn what_hangs_fails_after_the_bound() {
        bounded(std::future::pending::<()>()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_wait_in_vain_others_are_shorter() {
        for limit in [None, Some(AT_MOST_WHEN_BROKEN)] {
            let start = Instant::now();
            let hangs = tokio::spawn(bounded(std::future::pending::<()>()));
            assert!(hangs.await.unwrap_err().is_panic());
            // Tests beside this one wait in vain, too.
            assert!(limit.is_none_or(|limit| start.elapsed() < limit + LOOK_EVERY));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_is_waited_for() {
        let start = Instant::now();
        let late = || async move { start.elapsed() > AT_MOST_WHEN_BROKEN / 2 };
        eventually("half the shorter bound has passed", late).await;
    }
}
