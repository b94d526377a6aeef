//! Looks for orders that are due and that nobody was woken for: the broker lost the alarm, or the
//! service was down.

use super::{
    execution::Execution,
    table::{OVERDUE_MAX, StandingTable},
};
use chassis::database::now;
use futures_util::future::join_all;
use std::{error::Error, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Whoever is woken by an alarm is at work within this; later it is overdue.
const OVERDUE_AFTER: Duration = Duration::from_secs(20);
/// Between two looks. A look at what is not there costs little.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Takes up what is overdue.
#[derive(Debug)]
pub(crate) struct Overdue {
    pub(crate) table: StandingTable,
    pub(crate) execution: Execution,
}

impl Overdue {
    /// Goes on until it is told to stop; a round that has begun is ended.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = if self.round().await {
                Duration::ZERO
            } else {
                LOOK_EVERY
            };
            let _ = stop.run_until_cancelled(sleep(pause)).await;
        }
    }

    /// Takes some up; `true` if there are more, and these got somewhere.
    async fn round(&self) -> bool {
        let grace = i64::try_from(OVERDUE_AFTER.as_micros()).unwrap_or(i64::MAX);
        let overdue = match self.table.overdue(now().saturating_sub(grace)).await {
            Ok(overdue) => overdue,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "can't look for standing orders"
                );
                return false;
            }
        };
        let made = join_all(overdue.iter().map(|order| self.execution.of(order.id))).await;
        for (order, made) in overdue.iter().zip(&made) {
            if let Err(undone) = made {
                let error: &dyn Error = undone;
                tracing::warn!(order = %order.id, error, "a standing order stays due");
            }
        }
        overdue.len() == OVERDUE_MAX && made.iter().any(Result::is_ok)
    }
}
