//! Generated items are documented, also where the user wrote nothing.
#![deny(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    rust_2018_idioms,
    unused
)]
#![deny(warnings)]

use replybus::{Event, queue_handler};
use serde::{Deserialize, Serialize};

/// Accounts.
#[queue_handler("accounts")]
pub trait Accounts {
    /// Balance in minor units.
    #[query]
    async fn balance(&self, account: String) -> Result<u64, String>;
}

/// An account was opened.
#[derive(Debug, Event, Serialize, Deserialize)]
#[event("account.opened")]
pub struct Opened {
    /// Its number.
    pub account: String,
}

/// Reachable from outside, but not public: nobody uses its client.
pub(crate) mod inner {
    #[replybus::queue_handler("ledger")]
    pub(super) trait Ledger {
        async fn close(&self) -> Result<(), String>;
    }

    pub(crate) struct Books;

    impl Ledger for Books {
        async fn close(&self) -> Result<(), String> {
            Ok(())
        }
    }
}

#[test]
fn everything_is_documented() {
    let server = inner::LedgerServer::new(inner::Books);
    assert_eq!(format!("{server:?}"), "LedgerServer { .. }");
}
