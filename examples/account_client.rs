//! Calls the service of `account_server`: a query, a command that happens once, an error, a load.
//!
//! ```text
//! cargo run -p replybus-examples -F servers --example account_server
//! cargo run -p replybus-examples -F servers --example account_client    # in another terminal
//! ```

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::Context;
use replybus::{Amqp, Bus, CallId};
use replybus_examples::{
    contract::{AccountError, AccountServiceClient},
    servers::{amqp_url, redis_url},
};
use replybus_redis::RedisReplies;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const CALLERS: u32 = 64;
const CALLS_EACH: u32 = 150;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bus = Bus::connect(Amqp::new(amqp_url()), RedisReplies::new(redis_url())).await?;
    let accounts = AccountServiceClient::new(&bus);
    let account = format!("ada-{}", CallId::new());

    // The handler's own error comes back as the value that it is.
    let refused = accounts.balance(account.clone()).await.err();
    let refused = refused.context("nobody has paid in yet")?;
    assert_eq!(
        refused.handler(),
        Some(&AccountError::NoAccount(account.clone()))
    );
    println!("asked for a balance: {refused}");

    // A caller that isn't sure whether its command arrived repeats it under the same key.
    let key = format!("deposit-{}", CallId::new());
    for attempt in ["first", "second"] {
        let balance = accounts
            .deposit(account.clone(), 1_000)
            .idempotency_key(&key)
            .timeout(Duration::from_secs(3))
            .await?;
        assert_eq!(balance, 1_000);
        println!("deposited 1000, {attempt} time under one key: balance {balance}");
    }
    assert_eq!(accounts.balance(account.clone()).await?, 1_000);

    let refused = accounts.withdraw(account.clone(), 2_500).await.err();
    let refused = refused.context("more than there is")?;
    assert_eq!(
        refused.handler(),
        Some(&AccountError::Overdrawn { missing: 1_500 })
    );
    println!("withdrew 2500: {refused}");

    let started = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (accounts, account) = (accounts.clone(), account.clone());
        callers.spawn(async move {
            for _ in 0..CALLS_EACH {
                let balance = accounts.balance(account.clone()).await?;
                anyhow::ensure!(balance == 1_000, "somebody else's answer: {balance}");
            }
            Ok(())
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    let calls = CALLERS * CALLS_EACH;
    let per_second = f64::from(calls) / started.elapsed().as_secs_f64();
    println!("{calls} queries by {CALLERS} callers at once: {per_second:.0} calls/s");
    assert_eq!(bus.health().calls_waiting, 0);

    bus.close(Duration::from_secs(5)).await;
    Ok(())
}
