//! What many customers do at once: deposits, withdrawals and transfers, some of them asked for more
//! than once, and requests that make no sense.
//!
//! [`plan`] draws it all from a seed, [`errand`] runs one errand to its end, and [`trade`] many at
//! a time. Every order has an amount that no other has: wherever money moved, it says by whose
//! order.

pub mod errand;
pub mod plan;

use crate::{Bank, Customer};
use anyhow::{Context as _, Result};
use errand::{Deal, Errands};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use plan::Plan;
use std::cell::Cell;

/// Customers who register at a time; each keeps the bank busy with a password.
const REGISTERING: usize = 4;

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
            Customer::new(bank.visitor(), &name)
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
    let errands = Errands::new(bank.visitors(), customers);
    let deals: Vec<Option<Deal>> = stream::iter(&plan.errands)
        .map(|errand| errands.run(errand))
        .buffer_unordered(at_a_time)
        .try_collect()
        .await?;
    Ok(deals.into_iter().flatten().collect())
}

/// Carries out a plan while something is done to the bank, which is told when the plan is carried
/// out, and ends then. Gives what both came to.
///
/// # Errors
/// As [`trade`], or as what is done to the bank.
///
/// # Cancel safety
/// As [`trade`].
pub async fn trade_while<T>(
    bank: &Bank,
    customers: &[Customer],
    plan: &Plan,
    at_a_time: usize,
    trouble: impl AsyncFnOnce(&dyn Fn() -> bool) -> Result<T>,
) -> Result<(Vec<Deal>, T)> {
    let over = Cell::new(false);
    let trading = async {
        let deals = trade(bank, customers, plan, at_a_time).await;
        over.set(true);
        deals
    };
    let is_over = || over.get();
    let (deals, came_of_it) = tokio::join!(trading, trouble(&is_over));
    Ok((deals?, came_of_it?))
}
