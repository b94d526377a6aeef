//! Transfers through the bank's HTTP gateways, on real servers, by the number of clients.
//!
//! [`service`] is what each process of the bank runs: this very program, started again. [`step`]
//! is one number of clients, [`strangers`] are those that nobody knows, [`postgres`] what the database does alone, and [`report`] what came of
//! them all.

pub mod postgres;
pub mod report;
pub mod service;
pub mod step;
pub mod strangers;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use replybus_testkit::live;
use report::{Row, STRANGERS};
use std::{env, time::Duration};
use strangers::Strangers;
use town::{ADMIN_SECRET, Bank, Program, site::Servers, trade};

/// Uncounted transfers at the start of a step: pools fill and caches warm in it.
const RAMP: Duration = Duration::from_secs(1);

/// Measures transfers through the bank's HTTP gateways, on RabbitMQ, Redis and PostgreSQL.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// HTTP clients at a time, one figure or several
    #[arg(long, value_delimiter = ',', default_value = "1,4,16,64,256",
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub clients: Vec<u32>,
    /// Users who transfer money to each other
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub users: u32,
    /// Accounts that are paid to in a second series, in which no recipient is known to the bank; 0
    /// leaves it out
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub strangers: u32,
    /// Seconds that each number of clients is measured
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Seconds that PostgreSQL is measured alone with each number of clients
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub postgres_seconds: u64,
    /// Writes what was measured into docs/performance.md, as a table
    #[arg(long)]
    pub report: bool,

    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// Measures PostgreSQL alone, then starts a bank, measures it, and removes it, also when the
/// measurement fails.
///
/// # Errors
/// A server can't be reached, the bank does not start, or money was made or lost.
pub async fn run(arguments: &Arguments, progress: impl Fn(&Row)) -> Result<Vec<Row>> {
    let servers = Servers::found().await;
    let servers = servers.context("RabbitMQ, Redis and PostgreSQL are needed")?;
    let postgres_url = live::postgres().await;
    let postgres_url = postgres_url.context("PostgreSQL is needed")?;
    let length = Duration::from_secs(arguments.postgres_seconds);
    let alone = postgres::run(&postgres_url, length, &progress).await;
    let mut rows = alone.context("PostgreSQL alone could not be measured")?;
    let program = Program {
        path: env::current_exe().context("could not find this program")?,
        arguments: Vec::new(),
    };
    let bank = Bank::live(program, servers).await?;
    let of_bank = measure(&bank, arguments, &rows, progress).await;
    let of_bank =
        of_bank.with_context(|| format!("the end of the bank's log:\n{}", bank.log_tail()));
    let closed = bank.close().await;
    if of_bank.is_ok() {
        closed.context("could not clean up")?;
    }
    rows.extend(of_bank?);
    Ok(rows)
}

async fn measure(
    bank: &Bank,
    arguments: &Arguments,
    alone: &[Row],
    progress: impl Fn(&Row),
) -> Result<Vec<Row>> {
    let users = usize::try_from(arguments.users)?;
    let customers = trade::customers(bank, users).await?;
    let strangers = match (bank.site(), arguments.strangers) {
        (Some(site), 1..) => Some(Strangers::open(site.database_url(), arguments.strangers).await?),
        _ => None,
    };
    let before = money(bank).await?;
    let mut rows: Vec<Row> = Vec::new();
    let series = [("bank", None)].into_iter();
    let series = series.chain(strangers.iter().map(|them| (STRANGERS, Some(them))));
    for (path, strangers) in series {
        let first = rows.len();
        for clients in &arguments.clients {
            let load = crate::load::Load {
                callers: *clients,
                ramp: RAMP,
                length: Duration::from_secs(arguments.seconds),
            };
            let done = step::run(bank.clients(), &customers, strangers, load).await?;
            let row = Row::new(path, *clients, done.slice, done.failed, rows.get(first));
            let row = row.beside(alone);
            progress(&row);
            rows.push(row);
        }
    }
    let after = money(bank).await?;
    ensure!(
        before == after,
        "the sum of money has changed from {before} to {after}"
    );
    Ok(rows)
}

/// The sum of all balances.
async fn money(bank: &Bank) -> Result<i64> {
    let stats = bank.client().get("/api/account/admin/stats");
    let stats = stats.header("X-Admin-Secret", ADMIN_SECRET).ok().await?;
    let money = stats
        .get("total_balance")
        .and_then(serde_json::Value::as_i64);
    money.context("the bank does not say how much money it has")
}
