//! One errand, from its first request to its verdict.

use super::plan::{Act, Errand, Nonsense, Order};
use crate::{Client, Customer, Request};
use anyhow::{Context as _, Result, ensure};
use bank_client::until_final;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// A request without a verdict is sent again, with the same key, until it has one; a bank whose
/// processes are killed all the time has it within this.
const VERDICT_WITHIN: Duration = Duration::from_secs(240);

/// The bank's verdict on an order.
#[derive(Debug, Clone)]
pub struct Deal {
    /// The order.
    pub order: Order,
    /// `true` if money moved.
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
    gateways: &'a [Client],
    customers: &'a [Customer],
    next_gateway: AtomicUsize,
}

impl<'a> Errands<'a> {
    /// For these customers, at all these gateways in turn.
    #[must_use]
    pub fn new(gateways: &'a [Client], customers: &'a [Customer]) -> Self {
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
        let ask = || last_word(|| self.request(order, order.amount));
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
            let other = last_word(|| self.request(order, order.amount + 1)).await?;
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
        let request = || {
            let customer = self.customer(nonsense.by)?;
            Ok(customer.post(nonsense.path).json(&nonsense.body))
        };
        let verdict = last_word(request).await?;
        ensure!(verdict.status == nonsense.status, "{verdict:?}");
        Ok(())
    }

    fn request(&self, order: &Order, amount: i64) -> Result<Request> {
        let customer = self.customer(order.by)?;
        let (path, body) = match order.act {
            Act::Deposit => ("/api/account/deposit", json!({ "amount": amount })),
            Act::Withdraw => ("/api/account/withdraw", json!({ "amount": amount })),
            Act::Transfer { to, by_number } => {
                let to = self.customers.get(to).context("no such customer")?;
                let body = if by_number {
                    json!({ "to_account_number": to.account_number, "amount": amount })
                } else {
                    json!({ "to_username": to.username, "amount": amount })
                };
                ("/api/transfer/transfer", body)
            }
        };
        Ok(customer.post(path).key(&order.key).json(&body))
    }

    /// A customer, at the gateway whose turn it is.
    fn customer(&self, number: usize) -> Result<Customer> {
        let turn = self.next_gateway.fetch_add(1, Ordering::Relaxed);
        let gateway = self.gateways.get(turn % self.gateways.len());
        let customer = self.customers.get(number).context("no such customer")?;
        Ok(customer.at(gateway.context("the bank has no gateway")?))
    }
}

/// The last word on a request.
async fn last_word(request: impl Fn() -> Result<Request>) -> Result<Verdict> {
    let answer = until_final(VERDICT_WITHIN, request).await?;
    Ok(Verdict {
        status: answer.status,
        body: answer.body,
    })
}

impl Verdict {
    fn is_poverty(&self) -> bool {
        self.status == 400
            && self.body.get("detail").and_then(Value::as_str) == Some("Insufficient balance")
    }
}
