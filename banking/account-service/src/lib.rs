//! The account service: who has which account, and the double-entry ledger that moves the money.
//!
//! In reading order: the service (`service`) asks who calls, and makes an order (`order`) of what
//! is to be posted. The books (`books`) post it in one transaction under its key, by the rules of
//! the ledger (`ledger`), which are pure. While the database is away they are asked again
//! (`failure`). Statements of `months` are made beside, by jobs. With a deposit or withdrawal they write the event that tells of it into the outbox,
//! from where a relay brings it to the broker.
//!
//! What always holds: the two entries of a posting sum to zero; an account's balance is the sum of
//! its entries and never negative; an order takes effect once for each key of its owner's.

mod books;
mod exports;
mod failure;
mod ledger;
mod months;
mod order;
mod service;

pub use contracts::program::ACCOUNT_SERVICE as NAME;
pub use service::AccountService;

use anyhow::Context as _;
use chassis::{Database, Platform, Running, outbox::relay};
use contracts::account::AccountsServer;
use months::{Maker, MonthJobsServer, MonthTable, Sweep};
use sqlx::migrate::Migrator;
use std::ops::RangeInclusive;

/// Handlers for each connection to the database. A handler needs one for some statements only; for
/// the rest it waits for the session store, or its turn.
const HANDLERS_PER_CONNECTION: u32 = 3;
/// Handlers, however many connections there are. With fewer, those that wait for a database that is
/// away would soon be all there are, and nobody would be told so.
const HANDLERS: RangeInclusive<u32> = 32..=512;

/// Statements of months that are made at once: each reads span after span, and keeps a connection to
/// the database busy for most of the time.
const STATEMENTS: u16 = 2;

/// Starts the service.
///
/// # Errors
/// The key that its events are signed with, its database or its queue can't be had.
///
/// # Cancel safety
/// Not to be dropped before it is ready.
pub async fn start(platform: &Platform) -> anyhow::Result<Running> {
    Running::start(NAME, async |life| {
        let database = platform.database("account", &migrations()).await?;
        begin(life, platform, database).await
    })
    .await
}

/// Starts the service on a database that is open, and up to date.
///
/// # Errors
/// As [`start`].
///
/// # Cancel safety
/// As [`start`].
pub async fn start_on(platform: &Platform, database: Database) -> anyhow::Result<Running> {
    Running::start(NAME, async |life| begin(life, platform, database).await).await
}

async fn begin(life: Running, platform: &Platform, database: Database) -> anyhow::Result<Running> {
    let platform = platform.of_issuer(NAME)?;
    let table = MonthTable::new(database.clone());
    let making = platform
        .serve(MonthJobsServer::new(Maker::new(table.clone())))?
        .concurrency(STATEMENTS)
        .version(env!("CARGO_PKG_VERSION"))
        .await
        .context("can't serve the statements of months")?;
    let (bus, identity) = (&platform.bus, &platform.identity);
    let service = AccountService::new(identity.clone(), database.clone(), bus);
    let relay = relay(service.outbox(), &database, bus, identity);
    let connections = platform.settings().database_connections;
    let handlers = connections
        .saturating_mul(HANDLERS_PER_CONNECTION)
        .clamp(*HANDLERS.start(), *HANDLERS.end());
    let serving = platform
        .serve(AccountsServer::new(service))?
        .concurrency(u16::try_from(handlers)?)
        .version(env!("CARGO_PKG_VERSION"))
        .await
        .context("can't serve the accounts")?;
    let sweep = Sweep { table };
    Ok(life
        .serving(serving)
        .serving(making)
        .beside(|stop| sweep.run(stop))
        .beside(|stop| relay.run_until(stop.cancelled_owned())))
}

/// The migrations of its database.
#[must_use]
pub fn migrations() -> Migrator {
    chassis::migrations![
        "0001_ledger",
        "0002_outbox",
        "0003_reference",
        "0004_month_statements",
        "0005_outbox_postgres",
        "0006_outbox_sqlite",
    ]
}
