//! Takes up transfers that were left pending: by a crash, or by a ledger that had no answer.

use crate::{
    driver::{Driver, Undecided},
    record::Transfer,
    store::{DUE_MAX, TransferStore},
};
use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::future::join_all;
use std::{error::Error, time::Duration};
use tokio_util::sync::CancellationToken;

/// Between looks for transfers that are due. A look at what is not there costs little.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest pause while nothing gets anywhere.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Drives what was left pending, in nobody's session but by this service's own right.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) store: TransferStore,
    pub(crate) driver: Driver,
}

/// The outcome of a look.
enum Round {
    /// Nothing is due, or all that was due is settled.
    Idle,
    /// Some was settled, and more may be due.
    More,
    /// Nothing got anywhere.
    Stuck,
}

impl Recovery {
    /// Goes on until it is told to stop; a round that has begun is ended.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let growing = ExponentialBuilder::default()
            .with_min_delay(LOOK_EVERY)
            .with_max_delay(PAUSE_MAX)
            .with_jitter()
            .without_max_times();
        let mut pauses = growing.build();
        while !stop.is_cancelled() {
            let pause = match self.round().await {
                Round::More => Duration::ZERO,
                Round::Idle => LOOK_EVERY,
                Round::Stuck => {
                    let pause = pauses.next().unwrap_or(PAUSE_MAX);
                    let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                    continue;
                }
            };
            pauses = growing.build();
            let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    async fn round(&self) -> Round {
        let due = match self.store.lease_due().await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "can't look for transfers");
                return Round::Stuck;
            }
        };
        let driven = join_all(due.iter().map(|transfer| self.driver.drive(transfer))).await;
        let settled = driven.iter().filter(|driven| driven.is_ok()).count();
        for (transfer, driven) in due.iter().zip(&driven) {
            if let Err(undecided) = driven {
                report(transfer, undecided);
            }
        }
        match (due.len(), settled) {
            (0, _) => Round::Idle,
            (_, 0) => Round::Stuck,
            (due, settled) => {
                tracing::info!(settled, pending = due - settled, "transfers were taken up");
                if due == DUE_MAX {
                    Round::More
                } else {
                    Round::Idle
                }
            }
        }
    }
}

/// Says why a transfer is still pending.
pub(crate) fn report(transfer: &Transfer, undecided: &Undecided) {
    let (id, attempts) = (transfer.id, transfer.attempts);
    let error = undecided as &dyn Error;
    let passes = match undecided {
        Undecided::Verdict(no_answer) => no_answer.is_transient(),
        Undecided::Record(error) => chassis::database::is_transient(error),
    };
    if passes {
        tracing::warn!(transfer = %id, attempts, error, "a transfer stays pending");
    } else {
        tracing::error!(transfer = %id, attempts, error, "a transfer stays pending");
    }
}
