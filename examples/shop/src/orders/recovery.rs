//! Takes up orders that were begun and not ended: by a crash, or because a service was away.

use super::{
    saga::{Saga, Unfinished},
    table::OrderTable,
};
use futures_util::future::join_all;
use std::{error::Error, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between looks. A look at what is not there costs little.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Brings what is left behind to its end.
pub(super) struct Recovery {
    pub(super) table: OrderTable,
    pub(super) saga: Saga,
}

impl Recovery {
    /// Goes on until it is told to stop; a round that has begun is ended.
    pub(super) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.round().await;
            let _ = stop.run_until_cancelled(sleep(LOOK_EVERY)).await;
        }
    }

    async fn round(&self) {
        let due = match self.table.lease_due().await {
            Ok(due) => due,
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::warn!(error, "can't look for orders");
                return;
            }
        };
        let driving = due.into_iter().map(async |order| {
            let (id, step) = (order.id, order.step.as_str());
            match self.saga.drive(order).await {
                Ok(order) => {
                    let status = order.status.as_str();
                    tracing::info!(order = id, step, status, "an order was taken up");
                }
                Err(error) => {
                    report(id, step, &error);
                    // If that fails, its lease ends by itself.
                    let _ = self.table.put_off(id).await;
                }
            }
        });
        join_all(driving).await;
    }
}

fn report(id: i64, step: &str, error: &Unfinished) {
    let error: &dyn Error = error;
    tracing::warn!(order = id, step, error, "an order can't go on yet");
}
