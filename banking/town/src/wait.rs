//! Waiting for what must happen, and not for ever.

pub use replybus_testkit::wait::soon;

use std::{future::Future, time::Duration};
use tokio::time::sleep;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until there is something to see, for as long as [`soon`] waits, and returns it. A look that
/// does not end is none.
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
