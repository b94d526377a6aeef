//! A command that another worker still runs, after its delivery here has come to its end.

use crate::{
    limits::CALL_TIMEOUT_MAX,
    reply::{CommandRecord, ReplyStore},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pause between two looks at its record. What comes after it waits so much longer.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Waits until the command under this claim has ended, or its worker has lost it; no longer than a
/// command may take.
///
/// # Cancel safety
/// Safe; it only reads.
pub(crate) async fn ended_elsewhere(store: &dyn ReplyStore, claim: &str) {
    let until = Instant::now() + CALL_TIMEOUT_MAX;
    while Instant::now() < until {
        match store.record(claim).await {
            Ok(Some(CommandRecord::Running { lease_left, .. })) if !lease_left.is_zero() => {}
            Ok(_) => return,
            Err(error) => tracing::debug!(%error, "looking for the end of a run again"),
        }
        sleep(LOOK_AGAIN).await;
    }
}
