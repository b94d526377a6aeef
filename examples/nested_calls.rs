//! A handler that calls another service: one deadline, one trace and the caller's metadata for the
//! whole chain, without a line of code for it.
//!
//! ```text
//! cargo run -p replybus-examples --example nested_calls
//! ```

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::Context as _;
use replybus::{Bus, Context, FailureKind, Never, queue_handler};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[queue_handler("shop.requests", timeout = "1s")]
trait Shop {
    /// Asks the bank; returns what each of the two saw.
    #[query]
    async fn quote(&self, think: Duration) -> Result<[Seen; 2], NoQuote>;
}

#[queue_handler("bank.requests", timeout = "10s")]
trait Bank {
    /// Thinks for a while.
    #[query]
    async fn rate(&self, think: Duration) -> Result<Seen, Never>;
}

/// What a handler knows of its call.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    remaining: Option<Duration>,
    token: Option<String>,
    trace: Option<u128>,
}

impl Seen {
    fn now() -> Self {
        let context = Context::current();
        Self {
            remaining: context.remaining(),
            token: context.metadata().get("token").map(str::to_owned),
            trace: context.trace().map(|trace| trace.trace_id()),
        }
    }
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("the bank did not answer: {0}")]
struct NoQuote(String);

struct ShopService {
    bank: BankClient,
}

impl Shop for ShopService {
    async fn quote(&self, think: Duration) -> Result<[Seen; 2], NoQuote> {
        // Nothing is passed on by hand.
        match self.bank.rate(think).await {
            Ok(seen) => Ok([Seen::now(), seen]),
            Err(error) => Err(NoQuote(error.to_string())),
        }
    }
}

struct BankService;

impl Bank for BankService {
    async fn rate(&self, think: Duration) -> Result<Seen, Never> {
        println!(
            "  the bank thinks, it has {:?} left",
            Context::current().remaining()
        );
        sleep(think).await;
        Ok(Seen::now())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bus = Bus::in_memory();
    let bank = bus.serve(BankServer::new(BankService)).await?;
    let shop = ShopService {
        bank: BankClient::new(&bus),
    };
    let shop = bus.serve(ShopServer::new(shop)).await?;
    let client = ShopClient::new(&bus);

    println!("with time enough:");
    let quote = client
        .quote(Duration::from_millis(50))
        .metadata("token", "ada's");
    let [by_shop, by_bank] = quote.await?;
    println!("  the shop saw {by_shop:?}\n  the bank saw {by_bank:?}");
    // By its own contract the bank has 10 s. The shop's caller waits for 1 s.
    assert!(by_bank.remaining.context("a deadline")? < Duration::from_secs(1));
    assert_eq!(by_bank.token.as_deref(), Some("ada's"));
    assert!(by_bank.trace.is_some() && by_bank.trace == by_shop.trace);

    println!("with a bank that takes longer than the shop's caller waits:");
    let late = client.quote(Duration::from_secs(30)).await.err();
    let late = late.context("an answer came too late")?;
    println!("  {late}");
    // Both waits end at one moment. The caller hears it from its own clock, or from the shop if
    // that was faster.
    assert!(late.is_timeout() || late.handler().is_some());

    println!("with no time left for the second hop:");
    let over = Context::builder().deadline(Instant::now()).build();
    let call = BankClient::new(&bus).rate(Duration::ZERO);
    let not_sent = over.scope(call.into_future()).await.err();
    let not_sent = not_sent.context("an answer came without time")?;
    println!("  {not_sent}");
    assert_eq!(not_sent.kind(), Some(FailureKind::Expired));
    assert!(!not_sent.may_have_executed());

    shop.shutdown().await?;
    bank.shutdown().await?;
    Ok(())
}
