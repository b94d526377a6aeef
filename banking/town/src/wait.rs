//! Waiting for what must happen, and not for ever.

use std::{future::Future, panic::Location, time::Duration};
use tokio::time::{sleep, timeout};

/// Within this whatever a test waits for has happened, on a machine that does much else.
const AT_MOST: Duration = Duration::from_secs(240);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits for what comes by itself, 4 minutes at most.
///
/// # Panics
/// It does not come.
///
/// # Cancel safety
/// As what is waited for.
#[track_caller]
pub fn soon<F: Future>(what: &str, comes: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        let came = timeout(AT_MOST, comes).await;
        came.unwrap_or_else(|_| panic!("not within {AT_MOST:?}: {what} ({caller})"))
    }
}

/// Looks until there is something to see, for 4 minutes at most, and returns it.
///
/// # Panics
/// There is nothing.
///
/// # Cancel safety
/// As the look is.
#[track_caller]
pub fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> impl Future<Output = T> {
    soon(what, async move {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            sleep(LOOK_EVERY).await;
        }
    })
}
