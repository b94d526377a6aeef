//! Many calls at once: one result for each, in order, and as many under way as servers take well.
//!
//! ```text
//! cargo run -p replybus-examples --example batch
//! ```
//!
//! In one process; with the feature `servers`, and `AMQP_URL` and `REDIS_URL` set, over these.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use replybus::{CallError, join};
use replybus_examples::{
    anywhere::Anywhere,
    contract::{AccountError, AccountServiceClient, AccountServiceServer},
    ledger::Ledger,
};
use std::time::{Duration, Instant};

const QUEUE: &str = "examples.account.requests";

/// Accounts that somebody paid into.
const OPEN: u64 = 500;

/// Accounts that are asked for, one after the other and then together.
const ASKED: usize = 2_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let anywhere = Anywhere::open().await?;
    let serving = anywhere
        .bus
        .serve(AccountServiceServer::new(Ledger::default()));
    let serving = serving.await?;
    let accounts = AccountServiceClient::new(&anywhere.bus);

    // Commands, each with its key.
    let deposits = (0..OPEN).map(|number| {
        let deposit = accounts.deposit(name(number), number + 1);
        deposit.idempotency_key(format!("batch-{number}"))
    });
    let made = join(deposits).await;
    let paid_in: Result<Vec<u64>, _> = made.into_iter().collect(); // all, or the first error
    assert_eq!(paid_in?.into_iter().sum::<u64>(), OPEN * (OPEN + 1) / 2);

    // Queries, some of which fail: by themselves.
    let numbers = || (0..u64::MAX).map(|number| number % (OPEN + 1)).take(ASKED);
    let started = Instant::now();
    let balances = join(numbers().map(|number| accounts.balance(name(number)))).await;
    report("together", ASKED, started.elapsed());
    for (number, balance) in numbers().zip(&balances) {
        match balance {
            Ok(balance) => assert_eq!(*balance, number + 1),
            Err(CallError::Handler(AccountError::NoAccount(_))) => assert_eq!(number, OPEN),
            Err(error) => anyhow::bail!("{error}"),
        }
    }
    let failed = balances.iter().filter(|balance| balance.is_err());
    println!("of {ASKED} balances {} are of no account", failed.count());

    let started = Instant::now();
    for number in numbers().take(ASKED / 10) {
        let _ = accounts.balance(name(number)).await; // as above
    }
    report("one after the other", ASKED / 10, started.elapsed());

    serving.shutdown().await?;
    anywhere.close(&[QUEUE]).await
}

fn name(number: u64) -> String {
    format!("customer {number}")
}

fn report(how: &str, calls: usize, took: Duration) {
    println!("{calls} balances {how}: {took:?}");
}
