//! The transfer service on a bus in memory, with an account service and a broker that do as they
//! are told, on both kinds of databases.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod accounts;
mod bank;
mod broker;

mod away;
mod counts;
mod crashes;
mod crossing;
mod history;
mod identity;
mod load;
mod orders;
mod recovery;
mod relay;
mod standing;

/// Runs each scenario twice: on SQLite, and on PostgreSQL if it is there.
macro_rules! on_both_databases {
    ($($scenario:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                crate::bank::on_sqlite(super::$scenario).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                crate::bank::in_postgres(super::$scenario).await;
            })+
        }
    };
}
pub(crate) use on_both_databases;
