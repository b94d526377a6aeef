//! The accounts and the ledger as they are stored. What is public to the service here is patient:
//! it is repeated while the database fails in passing.

mod entries;
mod group;
mod holders;
mod open;
mod post;
mod statement;
mod users;

use crate::order::Order;
use chassis::{Database, database::Lane};
pub(crate) use entries::Entries;
use group::{Decided, Groups};
use std::sync::Arc;
use tokio::sync::Notify;

/// The accounts and the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    database: Database,
    /// On which postings wait for each other.
    lane: Lane<Arc<Order>, Decided>,
    /// Told when there may be an event to emit.
    posted: Arc<Notify>,
}

impl Books {
    /// The books in this database.
    pub(crate) fn new(database: Database) -> Self {
        let posted = Arc::<Notify>::default();
        let groups = Groups::new(database.clone(), Arc::clone(&posted));
        let post = move |orders| groups.clone().post(orders);
        Self {
            database,
            lane: Lane::new("postings", group::TOGETHER, post),
            posted,
        }
    }

    /// Told when there may be an event to emit.
    pub(crate) fn posted(&self) -> Arc<Notify> {
        Arc::clone(&self.posted)
    }

    /// `true` if they can be opened.
    pub(crate) async fn are_up(&self) -> bool {
        self.database.is_up().await
    }
}
