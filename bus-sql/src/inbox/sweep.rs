//! What is old enough goes.

use super::Inbox;
use crate::database::{Connections, Table, now};
use futures_util::FutureExt as _;
use std::{error::Error, future::Future, pin::pin, sync::Arc, time::Duration};
use tokio::time::sleep;

/// Entries that are removed by one statement: a few milliseconds' work, so that nothing waits for it.
const BATCH: u64 = 1_000;
/// Between two sweeps.
const EVERY: Duration = Duration::from_secs(5 * 60);

/// Removes what an [`Inbox`] remembered for as long as it was to: every five minutes, a thousand
/// entries at a time. Any number of them, in any number of processes, share a table: each takes what
/// no other is at.
///
/// ```
/// # use replybus_sql::{Inbox, Sweep};
/// # use sqlx::sqlite::SqlitePoolOptions;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
/// # let inbox = Inbox::new();
/// # inbox.install().run(&mut *pool.acquire().await?).await?;
/// let sweep = Sweep::new(&inbox, pool);
/// assert_eq!(sweep.once().await?, 0);
/// sweep.run_until(async {}).await; // in a service, until it is told to stop
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a sweep does nothing until it is run"]
pub struct Sweep {
    connections: Connections,
    table: Table,
    remove: Arc<str>,
    every: Duration,
}

impl Sweep {
    /// One of this inbox, by statements on these connections.
    pub fn new(inbox: &Inbox, connections: impl Into<Connections>) -> Self {
        let (connections, table) = (connections.into(), inbox.table());
        let remove = format!(
            "DELETE FROM {table} WHERE key IN (SELECT key FROM {table} WHERE expires_at < $1
            ORDER BY expires_at LIMIT {BATCH}{})",
            connections.dialect().skip_locked()
        );
        Self {
            connections,
            table: table.clone(),
            remove: remove.into(),
            every: EVERY,
        }
    }

    /// Sets the time between two sweeps: five minutes, unless set.
    pub fn every(mut self, pause: Duration) -> Self {
        self.every = pause;
        self
    }

    /// Removes all that is old enough now, and returns how many entries that were.
    ///
    /// # Errors
    /// Those of the database.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, some of them are removed.
    pub async fn once(&self) -> sqlx::Result<u64> {
        let before = now();
        let mut removed = 0;
        loop {
            let batch = self.connections.execute(&self.remove, vec![before.into()]);
            let batch = batch.await?;
            removed += batch;
            let table = self.table.as_str().to_owned();
            metrics::counter!("replybus_inbox_swept_total", "table" => table).increment(batch);
            if batch < BATCH {
                return Ok(removed);
            }
        }
    }

    /// Sweeps now and again until `stop` is ready. A database that is away is asked again next time.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop.fuse());
        loop {
            tokio::select! {
                swept = self.once() => {
                    if let Err(error) = swept {
                        let (table, error) = (self.table.as_str(), &error as &dyn Error);
                        tracing::warn!(table, error, "the inbox was not swept");
                    }
                }
                () = &mut stop => return,
            }
            tokio::select! {
                () = sleep(self.every) => {}
                () = &mut stop => return,
            }
        }
    }
}
