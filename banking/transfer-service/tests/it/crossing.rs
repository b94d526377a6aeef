//! Two services at work on the same transfers at the same time.

use crate::{
    accounts::Script,
    bank::{Bank, Customer, named, order},
};
use contracts::transfer::TransferStatus;
use std::{collections::HashSet, future::IntoFuture, sync::Arc, time::Duration};
use town::wait::soon;

/// Transfers of each customer. A service takes up 16 at once that nobody is at work on: all of them.
const EACH: usize = 4;

/// The transfers that were posted, of all customers: each pays the next one in the circle.
async fn completed_once(bank: &Bank, customers: &[Customer]) {
    let total = customers.len() * EACH;
    let mut ids = HashSet::new();
    for customer in customers {
        let settled = customer.is_settled().await;
        assert_eq!(settled.len(), 2 * EACH, "what was sent, and what came");
        assert!(
            settled
                .iter()
                .all(|transfer| transfer.status == TransferStatus::Completed)
        );
        ids.extend(settled.iter().map(|transfer| transfer.id.to_string()));
    }
    assert_eq!(ids.len(), total);
    bank.outbox_is_empty().await;
    let told = bank.broker.taken();
    assert_eq!(told.len(), total, "each was told of once");
    assert_eq!(told.into_iter().collect::<HashSet<_>>(), ids);
    let each = i64::try_from(EACH).unwrap();
    let counted = format!("counts WHERE sent = {each} AND received = {each}");
    let counted = bank.count(&counted).await;
    assert_eq!(usize::try_from(counted).unwrap(), customers.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_that_complete_the_same_transfers_complete_each_once_and_never_deadlock() {
    crate::bank::in_postgres(scenario).await;
}

async fn scenario(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _services = [bank.start().await, bank.start().await];
    let names = ["ada", "bob", "carol", "dave"];
    let mut customers = Vec::new();
    for name in names {
        customers.push(bank.customer(name, 1_000).await);
    }
    bank.accounts.on_postings(Script::WaitFirst);
    let mut calls = Vec::new();
    for (payer, payee) in customers.iter().zip(names.iter().cycle().skip(1)) {
        for number in 0..EACH {
            let call = payer.order(order(named(payee), 1, &number.to_string()));
            let call = call.timeout(Duration::from_secs(60));
            calls.push(tokio::spawn(call.into_future()));
        }
    }
    let total = calls.len();
    bank.accounts.asked_to_post(total).await;
    // Whose leases have lapsed is anybody's: now there are two at work on each, and of many these
    // are both services.
    bank.let_leases_lapse().await;
    bank.accounts.asked_to_post(2 * total).await;
    // All verdicts at once: what follows is completed in groups, by both.
    bank.accounts.on_postings(Script::Answer);
    for call in calls {
        assert!(soon("an answer", call).await.unwrap().is_ok());
    }
    completed_once(&bank, &customers).await;
    let deadlocks = "pg_stat_database WHERE datname = current_database() AND deadlocks > 0";
    assert_eq!(bank.count(deadlocks).await, 0);
}
