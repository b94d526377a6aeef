//! One number of clients: each has its next transfer made as soon as it has an answer.

use super::strangers::Strangers;
use crate::load::{Load, Slice, closed_loop};
use anyhow::{Context as _, Result};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use town::{Client, Customer};

/// What a number of clients did.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// How long answers took, and how many there were.
    pub slice: Slice,
    /// Answers that were not a receipt.
    pub failed: u64,
}

/// Runs a load of transfers of one unit from a customer to another, or to one of `strangers`, who
/// are drawn anew each time, at the gateways in turn.
///
/// # Errors
/// A request gets no answer at all.
pub async fn run(
    gateways: &[Client],
    customers: &[Customer],
    strangers: Option<&Strangers>,
    load: Load,
) -> Result<Step> {
    let failed = Arc::new(AtomicU64::new(0));
    // Each at its own gateway, with its connections.
    let customers: Arc<[Customer]> = customers
        .iter()
        .zip(gateways.iter().cycle())
        .map(|(customer, gateway)| customer.at(gateway))
        .collect();
    let count = Arc::clone(&failed);
    let strangers = strangers.cloned();
    let slice = closed_loop(load, move |_| {
        let (customers, failed) = (Arc::clone(&customers), Arc::clone(&count));
        let strangers = strangers.clone();
        async move {
            let from = rand::random_range(0..customers.len());
            let to = (from + rand::random_range(1..customers.len())) % customers.len();
            let (from, to) = (customers.get(from), customers.get(to));
            let (from, to) = from.zip(to).context("no such customer")?;
            let to = match &strangers {
                Some(strangers) => strangers.any().context("there are no strangers")?,
                None => &to.username,
            };
            let key = uuid::Uuid::new_v4().to_string();
            let answer = from.transfer_to(to, 1, &key).send().await?;
            if answer.status != 200 {
                failed.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }
    })
    .await?;
    Ok(Step {
        slice,
        failed: failed.load(Ordering::Relaxed),
    })
}
