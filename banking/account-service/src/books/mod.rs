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
use chassis::{Database, database::Lane, outbox::Outbox};
pub(crate) use entries::Entries;
use group::{Decided, Groups};
use std::sync::Arc;

/// The accounts and the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    database: Database,
    /// On which postings wait for each other.
    lane: Lane<Arc<Order>, Decided>,
    /// Where events are put that tell of postings.
    outbox: Outbox,
}

impl Books {
    /// The books in this database.
    pub(crate) fn new(database: Database) -> Self {
        let outbox = Outbox::new();
        let groups = Groups::new(database.clone(), outbox.clone());
        let post = move |orders| groups.clone().post(orders);
        Self {
            database,
            lane: Lane::new("postings", group::TOGETHER, post),
            outbox,
        }
    }

    /// Where events are that tell of postings.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// `true` if they can be opened.
    pub(crate) async fn are_up(&self) -> bool {
        self.database.is_up().await
    }
}
