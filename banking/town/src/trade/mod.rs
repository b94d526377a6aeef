//! What many customers do at once: deposits, withdrawals and transfers, some of them asked for more
//! than once, and requests that make no sense.
//!
//! [`plan`] draws it all from a seed, [`errand`] runs one errand to its end, and [`trade`] many at
//! a time. Every order has an amount that no other has: wherever money moved, it says by whose
//! order.

pub mod errand;
pub mod plan;

use crate::{Bank, Customer};
use anyhow::{Context as _, Result, bail};
use errand::{Deal, Errands};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use plan::{Errand, Plan};
use std::cell::Cell;

/// Customers who register at a time; each keeps the bank busy with a password.
const REGISTERING: usize = 4;

/// Times that a plan is carried out, or grown, before trouble must have done enough.
const PLANS_MAX: usize = 50;

/// Registers customers.
///
/// # Errors
/// One of them can't register.
///
/// # Cancel safety
/// Dropped before it is ready, some may be registered.
pub async fn customers(bank: &Bank, count: usize) -> Result<Vec<Customer>> {
    stream::iter(0..count)
        .map(|number| async move {
            let name = format!("t{number}");
            crate::customer(bank.client(), &name)
                .await
                .context("can't register a customer")
        })
        .buffered(REGISTERING)
        .try_collect()
        .await
}

/// Carries out a plan, so many errands at a time, whatever becomes of the bank meanwhile.
///
/// # Errors
/// The bank answered what it must not, or nothing for too long.
///
/// # Cancel safety
/// Dropped before it is ready, some of it is done and some is not.
pub async fn trade(
    bank: &Bank,
    customers: &[Customer],
    plan: &Plan,
    at_a_time: usize,
) -> Result<Vec<Deal>> {
    carry_out(bank, customers, &plan.errands, at_a_time).await
}

async fn carry_out(
    bank: &Bank,
    customers: &[Customer],
    planned: &[Errand],
    at_a_time: usize,
) -> Result<Vec<Deal>> {
    let errands = Errands::new(bank.clients(), customers);
    let deals: Vec<Option<Deal>> = stream::iter(planned)
        .map(|errand| errands.run(errand))
        .buffer_unordered(at_a_time)
        .try_collect()
        .await?;
    Ok(deals.into_iter().flatten().collect())
}

/// Carries out a plan while something is done to the bank, and then more of the kind until enough
/// has been done to it, however slow the machine. What does it asks whether it is over, and says
/// whether it has done enough. Gives what both came to.
///
/// # Errors
/// As [`trade`], or as what is done to the bank; or not enough is done to it while the plan grows
/// to 50 times its length.
///
/// # Cancel safety
/// As [`trade`].
pub async fn trade_while<T>(
    bank: &Bank,
    customers: &[Customer],
    plan: &mut Plan,
    at_a_time: usize,
    trouble: impl AsyncFnOnce(&dyn Fn(bool) -> bool) -> Result<T>,
) -> Result<(Vec<Deal>, T)> {
    let (over, enough) = (Cell::new(false), Cell::new(false));
    let trading = async {
        let (mut deals, requests) = (Vec::new(), plan.requests());
        let mut carried_out = 0;
        for _ in 0..PLANS_MAX {
            let planned = plan.errands.get(carried_out..).unwrap_or_default();
            carried_out += planned.len();
            deals.extend(carry_out(bank, customers, planned, at_a_time).await?);
            if enough.get() {
                over.set(true);
                return Ok(deals);
            }
            plan.grow(requests);
        }
        bail!("not enough happened in {} requests", plan.requests())
    };
    let is_over = |is_enough| {
        enough.set(is_enough);
        over.get()
    };
    tokio::try_join!(trading, trouble(&is_over))
}
