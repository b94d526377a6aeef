//! Looks for orders that are due and that nobody was woken for: the broker lost the alarm, or the
//! service was down.

use super::{
    execution::Execution,
    table::{Place, StandingTable},
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
        let mut behind = None;
        while !stop.is_cancelled() {
            let got_somewhere;
            (behind, got_somewhere) = self.round(behind).await;
            let pause = if behind.is_some() && got_somewhere {
                Duration::ZERO
            } else {
                LOOK_EVERY
            };
            let _ = stop.run_until_cancelled(sleep(pause)).await;
        }
    }

    /// Takes some up that are behind this one; returns where there are more, and whether these got
    /// somewhere.
    async fn round(&self, behind: Option<Place>) -> (Option<Place>, bool) {
        let grace = i64::try_from(OVERDUE_AFTER.as_micros()).unwrap_or(i64::MAX);
        let before = now().saturating_sub(grace);
        let behind = behind.unwrap_or((i64::MIN, String::new()));
        let (overdue, more) = match self.table.overdue(before, &behind).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "can't look for standing orders"
                );
                return (None, false);
            }
        };
        let made = join_all(overdue.iter().map(|order| self.execution.of(order.id))).await;
        for (order, made) in overdue.iter().zip(&made) {
            if let Err(undone) = made {
                let error: &dyn Error = undone;
                tracing::warn!(order = %order.id, error, "a standing order stays due");
            }
        }
        (more, made.iter().any(Result::is_ok))
    }
}
