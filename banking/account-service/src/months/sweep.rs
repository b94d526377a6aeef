//! Throws statements away that nobody will look at any more.

use super::MonthTable;
use std::{error::Error, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two looks for what is old. They are days old then.
const LOOK_EVERY: Duration = Duration::from_secs(10 * 60);
/// The pause between two lots, so that others come in between.
const PAUSE: Duration = Duration::from_millis(100);

/// Throws old statements away.
#[derive(Debug)]
pub(crate) struct Sweep {
    pub(crate) table: MonthTable,
}

impl Sweep {
    /// Goes on until it is told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.table.sweep().await {
                Ok(true) => PAUSE,
                Ok(false) => LOOK_EVERY,
                Err(error) => {
                    let error: &dyn Error = &error;
                    tracing::warn!(error, "old statements can't be thrown away");
                    LOOK_EVERY
                }
            };
            let _ = stop.run_until_cancelled(sleep(pause)).await;
        }
    }
}
