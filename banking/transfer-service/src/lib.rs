//! The transfer service: money from one user to another, asked of the account service.
//!
//! A transfer is a row that goes from pending to completed or rejected, once. In reading order:
//! `service` asks who it is and has the order recorded; `record` is what a row holds, `store`
//! writes rows, those of a `group` together, and `history` reads them; `accounts` asks the account service, and what is `known` once; `driver` takes a row
//! from pending to the ledger's verdict, and `recovery` has it do so with what a crash left behind.
//! Transfers of `standing` orders are made when their time comes. With the verdict `store` writes the event that tells of it into the outbox, from where a relay
//! brings it to the broker.

mod accounts;
mod driver;
mod group;
mod history;
mod known;
mod record;
mod recovery;
mod service;
mod standing;
mod store;

pub use contracts::program::TRANSFER_SERVICE as NAME;

use accounts::AccountService;
use anyhow::Context as _;
use chassis::{
    Platform, Running,
    outbox::{Outbox, relay},
};
use contracts::transfer::TransfersServer;
use driver::Driver;
use history::History;
use recovery::Recovery;
use service::{PERMITS, TransferService};
use sqlx::migrate::Migrator;
use standing::{Alarm, Execution, Orders, Overdue, StandingJobsServer, StandingTable, Waking};
use store::TransferStore;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Calls served at once. Most of them wait for the account service and hold no connection to the
/// database meanwhile; there are more than [`PERMITS`] for those.
const CONCURRENCY: u16 = 128;

/// Standing orders that are made at once: on the first of a month there are many, and users go
/// first.
const STANDING: u16 = 8;

/// Starts the service.
///
/// # Errors
/// The key of its passes, its database or its queue can't be had.
///
/// # Cancel safety
/// Not to be dropped before it is ready.
pub async fn start(platform: &Platform) -> anyhow::Result<Running> {
    Running::start(NAME, async |life| begin(life, platform).await).await
}

async fn begin(life: Running, platform: &Platform) -> anyhow::Result<Running> {
    let platform = platform.of_issuer(NAME)?;
    let database = platform.database("transfer", &migrations()).await?;
    let outbox = Outbox::new();
    let store = TransferStore::new(database.clone(), outbox.clone());
    let accounts = AccountService::new(&platform.bus, platform.identity.clone());
    let driver = Driver::new(store.clone(), accounts.clone(), outbox.clone());
    let table = StandingTable::new(database.clone(), outbox.clone());
    let alarm = Alarm::new(&platform.bus);
    let execution = Execution {
        table: table.clone(),
        accounts: accounts.clone(),
        store: store.clone(),
        driver: driver.clone(),
        alarm: alarm.clone(),
        outbox: outbox.clone(),
    };
    let waking = Waking {
        execution: execution.clone(),
    };
    let waking = platform
        .serve(StandingJobsServer::new(waking))?
        .concurrency(STANDING)
        .version(env!("CARGO_PKG_VERSION"))
        .await
        .context("standing orders can't be served")?;
    let overdue = Overdue {
        table: table.clone(),
        execution,
    };
    let orders = Orders {
        table,
        accounts: accounts.clone(),
        alarm,
    };
    let recovery = Recovery {
        store: store.clone(),
        driver: driver.clone(),
    };
    let relay = relay(&outbox, &database, &platform.bus, &platform.identity);
    let service = TransferService {
        identity: platform.identity.clone(),
        history: History::new(database.clone()),
        database,
        store,
        accounts,
        driver,
        orders,
        permits: Semaphore::new(PERMITS),
    };
    let serving = platform
        .serve(TransfersServer::new(service))?
        .concurrency(CONCURRENCY)
        .version(env!("CARGO_PKG_VERSION"))
        .await
        .context("transfers can't be served")?;
    let running = life.serving(serving).serving(waking);
    Ok(running.beside(|stop| async move {
        // What is completed at the end is still told of.
        let recovered = CancellationToken::new();
        let recovering = async {
            tokio::join!(recovery.run(stop.clone()), overdue.run(stop));
            recovered.cancel();
        };
        tokio::join!(recovering, relay.run_until(recovered.cancelled()));
    }))
}

/// The migrations of its database.
#[must_use]
pub fn migrations() -> Migrator {
    chassis::migrations![
        "0001_transfers",
        "0002_counts",
        "0003_counting_postgres",
        "0004_counting_sqlite",
        "0005_reference",
        "0006_counting_together_postgres",
        "0007_standing_orders",
        "0008_outbox_postgres",
        "0009_outbox_sqlite",
    ]
}
