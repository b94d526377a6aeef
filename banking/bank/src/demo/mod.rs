//! Customers for a bank: they register, move money among each other, and count it afterwards.

mod summary;

use crate::{ServeSettings, ServiceName, serve};
use anyhow::{Context as _, ensure};
use bank_client::{Client, Customer, until_verdict};
use chassis::{Platform, telemetry};
use clap::{Args, ValueEnum};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::time::{Duration, Instant};
use summary::{Outcome, Summary};
use uuid::Uuid;

/// A transfer without a verdict is asked for again for so long, with the same key.
const VERDICT_WITHIN: Duration = Duration::from_secs(60);

/// Settings of the demo.
#[derive(Debug, Clone, Args)]
pub struct DemoSettings {
    /// A bank that runs, such as http://127.0.0.1:8080; without it one is started for the demo
    #[arg(long, value_name = "URL")]
    url: Option<reqwest::Url>,

    /// Customers to register
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    users: u32,

    /// Transfers to make
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    transfers: u32,

    /// Requests at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    clients: u32,

    /// Seed of the choice of pairs and amounts, for a demo that can be repeated
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Password of the customers, to log in as one of them later; without it, drawn and not shown
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,

    /// Keep the bank that was started for the demo until it is told to stop
    #[arg(long, conflicts_with = "url")]
    stay: bool,

    #[command(flatten)]
    serve: ServeSettings,
}

/// Runs the demo and prints what happened.
///
/// # Errors
/// The bank can't be started or reached, a customer can't register, or money was lost or made.
///
/// # Cancel safety
/// Dropped before it is ready, the customers and their money stay as they are.
pub async fn run(settings: DemoSettings) -> anyhow::Result<()> {
    if let Some(url) = settings.url.clone() {
        return visit(&settings, url).await;
    }
    telemetry::init_quiet();
    let mut serve = settings.serve.clone();
    serve.settle(ServiceName::value_variants())?;
    if !settings.stay {
        // Nobody else is to come, so any port will do.
        serve.http.http_addr.set_port(0);
    }
    let platform = Platform::connect("bank", serve.platform.clone()).await?;
    let bank = serve::start(&platform, &serve, ServiceName::value_variants()).await?;
    let address = bank.http_addr.context("the gateway was not started")?;
    let visited = visit(&settings, format!("http://{address}").parse()?).await;
    if settings.stay && visited.is_ok() {
        say(&format!(
            "\nThe bank is at http://{address} until you stop it (Ctrl-C)."
        ));
        chassis::shutdown_signal().await?;
    }
    bank.running.stop().await;
    platform.bus.close(Duration::from_secs(5)).await;
    visited
}

async fn visit(settings: &DemoSettings, url: reqwest::Url) -> anyhow::Result<()> {
    let client = Client::new(url)?;
    let clients = usize::try_from(settings.clients)?;
    let password = settings.password.clone();
    let password = password.unwrap_or_else(|| format!("demo-{:032x}", rand::random::<u128>()));
    let run = format!("{:08x}", rand::random::<u32>());

    let bar = bar(settings.users, "registering");
    let customers: Vec<Customer> = stream::iter(0..settings.users)
        .map(|number| {
            let name = format!("demo-{run}-{number}");
            Customer::register(&client, name, &password)
        })
        .buffer_unordered(clients)
        .inspect(|_| bar.inc(1))
        .try_collect()
        .await?;
    bar.finish_and_clear();
    let before = money(&customers, clients).await?;

    let seed = settings.seed.unwrap_or_else(rand::random);
    let mut dice = StdRng::seed_from_u64(seed);
    let bar = self::bar(settings.transfers, "transferring");
    let started = Instant::now();
    let orders: Vec<_> = (0..settings.transfers)
        .map(|_| {
            let from = dice.random_range(0..customers.len());
            let to = (from + dice.random_range(1..customers.len())) % customers.len();
            (from, to, dice.random_range(1..=20_000_i64))
        })
        .collect();
    let outcomes: Vec<(Outcome, Duration)> = stream::iter(orders)
        .map(async |(from, to, amount)| {
            let (Some(from), Some(to)) = (customers.get(from), customers.get(to)) else {
                return (Outcome::Failed, Duration::ZERO);
            };
            let started = Instant::now();
            (transfer(from, to, amount).await, started.elapsed())
        })
        .buffer_unordered(clients)
        .inspect(|_| bar.inc(1))
        .collect()
        .await;
    let took = started.elapsed();
    bar.finish_and_clear();

    let after = money(&customers, clients).await?;
    let summary = Summary::new(&outcomes, took, before, after);
    say(&format!(
        "{} customers, named demo-{run}-0 and so on; seed {seed}",
        settings.users
    ));
    say(&summary.to_string());
    ensure!(
        before == after,
        "the sum of money has changed from {before} to {after}"
    );
    ensure!(
        summary.failed == 0,
        "{} transfers got no verdict",
        summary.failed
    );
    Ok(())
}

/// Moves money from one customer to another.
async fn transfer(from: &Customer, to: &Customer, amount: i64) -> Outcome {
    let key = Uuid::now_v7().to_string();
    let answer = until_verdict(VERDICT_WITHIN, || Ok(from.transfer(to, amount, &key))).await;
    match answer.map(|answer| answer.status) {
        Ok(200) => Outcome::Made,
        Ok(400) => Outcome::Rejected,
        Ok(_) | Err(_) => Outcome::Failed,
    }
}

/// The sum of the customers' balances.
async fn money(customers: &[Customer], clients: usize) -> anyhow::Result<i64> {
    stream::iter(customers)
        .map(Customer::balance)
        .buffer_unordered(clients)
        .try_fold(0_i64, async |sum, balance| {
            sum.checked_add(balance)
                .context("more money than can be counted")
        })
        .await
}

fn bar(length: u32, what: &'static str) -> ProgressBar {
    let template = "{prefix:>12} [{wide_bar}] {pos}/{len} {per_sec} {eta}";
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(u64::from(length)).with_style(style.progress_chars("=> "));
    bar.with_prefix(what)
}

#[allow(clippy::print_stdout, reason = "the demo speaks to who runs it")]
fn say(text: &str) {
    println!("{text}");
}
