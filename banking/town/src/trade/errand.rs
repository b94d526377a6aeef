//! One errand, from its first request to its verdict.

use super::plan::{Act, Errand, Nonsense, Order};
use crate::{Ask, Customer, Visitor};
use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// A request without a verdict is sent again, with the same key, until it has one; a bank whose
/// processes are killed all the time has it within this.
const VERDICT_WITHIN: Duration = Duration::from_secs(240);
/// Between two of them, at first and at last.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What the bank said to an order, for good.
#[derive(Debug, Clone)]
pub struct Deal {
    /// The order.
    pub order: Order,
    /// Whether money moved.
    pub done: bool,
}

/// A last word.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    status: u16,
    body: Value,
}

/// Runs errands of customers.
#[allow(missing_debug_implementations, reason = "its customers have passwords")]
pub struct Errands<'a> {
    gateways: &'a [Visitor],
    customers: &'a [Customer],
    next_gateway: AtomicUsize,
}

impl<'a> Errands<'a> {
    /// For these customers, at all these gateways in turn.
    #[must_use]
    pub fn new(gateways: &'a [Visitor], customers: &'a [Customer]) -> Self {
        Self {
            gateways,
            customers,
            next_gateway: AtomicUsize::new(0),
        }
    }

    /// Runs one; there is a deal if it was an order.
    ///
    /// # Errors
    /// The bank answered what it must not, or nothing for 4 minutes.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, what was ordered may be done or not.
    pub async fn run(&self, errand: &Errand) -> Result<Option<Deal>> {
        match errand {
            Errand::Order(order) => {
                let deal = self.carry_out(order).await;
                deal.with_context(|| order.to_string()).map(Some)
            }
            Errand::Nonsense(nonsense) => {
                let refused = self.refused(nonsense).await;
                refused
                    .with_context(|| format!("{nonsense:?}"))
                    .map(|()| None)
            }
        }
    }

    async fn carry_out(&self, order: &Order) -> Result<Deal> {
        let ask = || self.verdict(|| self.ask(order, order.amount));
        let mut verdicts = try_join_all((0..order.at_once).map(|_| ask())).await?;
        if order.again {
            verdicts.push(ask().await?);
        }
        let verdict = verdicts.first().context("it was not asked for")?;
        let done = verdict.status == 200;
        ensure!(done || verdict.is_poverty(), "refused: {verdict:?}");
        ensure!(
            verdicts.iter().all(|other| other == verdict),
            "the same request got different verdicts: {verdicts:?}"
        );
        if order.otherwise {
            let other = self.verdict(|| self.ask(order, order.amount + 1)).await?;
            ensure!(
                other.status == 409,
                "the key was used for another amount, after {verdicts:?}: {other:?}"
            );
        }
        Ok(Deal {
            order: order.clone(),
            done,
        })
    }

    async fn refused(&self, nonsense: &Nonsense) -> Result<()> {
        let ask = || {
            Some(
                self.customer(nonsense.by)?
                    .post(nonsense.path)
                    .json(&nonsense.body),
            )
        };
        let verdict = self.verdict(ask).await?;
        ensure!(verdict.status == nonsense.status, "{verdict:?}");
        Ok(())
    }

    fn ask(&self, order: &Order, amount: i64) -> Option<Ask> {
        let customer = self.customer(order.by)?;
        let (path, body) = match order.act {
            Act::Deposit => ("/api/account/deposit", json!({ "amount": amount })),
            Act::Withdraw => ("/api/account/withdraw", json!({ "amount": amount })),
            Act::Transfer { to, by_number } => {
                let to = self.customers.get(to)?;
                let body = if by_number {
                    json!({ "to_account_number": to.account_number, "amount": amount })
                } else {
                    json!({ "to_username": to.username, "amount": amount })
                };
                ("/api/transfer/transfer", body)
            }
        };
        Some(customer.post(path).key(&order.key).json(&body))
    }

    /// A customer, at the gateway whose turn it is.
    fn customer(&self, number: usize) -> Option<Customer> {
        let turn = self.next_gateway.fetch_add(1, Ordering::Relaxed);
        let gateway = self.gateways.get(turn % self.gateways.len())?;
        Some(self.customers.get(number)?.at(gateway))
    }

    /// Asks until there is a last word: neither a lost connection nor an answer that asks for
    /// patience is one.
    async fn verdict(&self, ask: impl Fn() -> Option<Ask>) -> Result<Verdict> {
        let end = Instant::now() + VERDICT_WITHIN;
        let mut pause = PAUSE;
        loop {
            let answer = ask().context("no such customer")?.send().await;
            let unknown = match answer {
                Ok(answer) if matches!(answer.status, 429 | 503 | 504) => {
                    format!("{}: {}", answer.status, answer.detail())
                }
                Ok(answer) => {
                    return Ok(Verdict {
                        status: answer.status,
                        body: answer.body,
                    });
                }
                Err(error) => format!("{error:#}"),
            };
            ensure!(Instant::now() < end, "no verdict; at last: {unknown}");
            sleep(pause).await;
            pause = PAUSE_MAX.min(pause * 2);
        }
    }
}

impl Verdict {
    fn is_poverty(&self) -> bool {
        self.status == 400
            && self.body.get("detail").and_then(Value::as_str) == Some("Insufficient balance")
    }
}
