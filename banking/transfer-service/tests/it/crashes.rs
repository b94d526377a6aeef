//! The service dies at every point of a transfer, and another takes over its tables.

use crate::{
    accounts::Script,
    bank::{Answer, Bank, Customer, named, order},
    broker::Events,
    on_both_databases,
};
use contracts::transfer::TransferStatus;
use std::{collections::HashSet, future::IntoFuture, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use town::wait::{eventually, soon};

on_both_databases! {
    killed_before_it_is_recorded_a_transfer_never_was,
    killed_while_it_waits_for_the_verdict_it_is_posted_once,
    killed_when_it_is_posted_and_not_recorded_it_is_completed,
    killed_before_the_event_is_out_it_is_emitted,
    killed_before_it_knows_that_the_event_is_out_it_emits_it_again_under_the_same_id,
    killed_at_random_moments_it_loses_and_doubles_nothing,
}

/// A customer's call that will get no answer.
fn begin(ada: &Customer) -> JoinHandle<()> {
    let call = ada.order(order(named("bob"), 200, "rent"));
    let call = call.timeout(Duration::from_secs(2)).into_future();
    tokio::spawn(async move { drop(call.await) })
}

async fn customers(bank: &Bank) -> (Customer, Customer) {
    (
        bank.customer("ada", 500).await,
        bank.customer("bob", 0).await,
    )
}

async fn is_posted_once(bank: &Bank, ada: &Customer, bob: &Customer) {
    let settled = ada.is_settled().await;
    let [transfer] = settled.as_slice() else {
        panic!("{settled:?}")
    };
    assert_eq!(transfer.status, TransferStatus::Completed);
    assert_eq!(bank.accounts.posted(), [transfer.id]);
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);
    bank.outbox_is_empty().await;
    let told: HashSet<_> = bank.broker.taken().into_iter().collect();
    assert_eq!(told, HashSet::from([transfer.id.to_string()]));
}

async fn killed_before_it_is_recorded_a_transfer_never_was(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let process = bank.start().await;
    let (ada, bob) = customers(&bank).await;
    bank.accounts.on_parties(Script::WaitFirst);
    let call = begin(&ada);
    bank.accounts.asked_for_parties(1).await;
    process.crash().await;
    bank.accounts.on_parties(Script::Answer);
    soon("an answer", call).await.unwrap();
    assert_eq!(bank.count("transfers").await, 0);
    assert!(bank.accounts.posted().is_empty());
    let _again = bank.start().await;
    let answer = ada.pay_in_the_end("bob", 200, "rent").await;
    assert!(answer.is_ok());
    is_posted_once(&bank, &ada, &bob).await;
}

async fn killed_while_it_waits_for_the_verdict_it_is_posted_once(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let process = bank.start().await;
    let (ada, bob) = customers(&bank).await;
    bank.accounts.on_postings(Script::WaitFirst);
    let call = begin(&ada);
    bank.accounts.asked_to_post(1).await;
    process.crash().await;
    bank.let_leases_lapse().await;
    let _again = bank.start().await;
    // The first posting is still on its way when the second is asked for.
    bank.accounts.asked_to_post(2).await;
    bank.accounts.on_postings(Script::Answer);
    is_posted_once(&bank, &ada, &bob).await;
    soon("an answer", call).await.unwrap();
}

async fn killed_when_it_is_posted_and_not_recorded_it_is_completed(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let process = bank.start().await;
    let (ada, bob) = customers(&bank).await;
    bank.accounts.on_postings(Script::WaitAfterwards);
    let call = begin(&ada);
    eventually("it is posted", async || {
        (bank.accounts.posted().len() == 1).then_some(())
    })
    .await;
    process.crash().await;
    bank.accounts.on_postings(Script::Answer);
    let _again = bank.start().await;
    // Nobody helps: the lease of the dead lapses by itself.
    is_posted_once(&bank, &ada, &bob).await;
    soon("an answer", call).await.unwrap();
}

async fn killed_before_the_event_is_out_it_is_emitted(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let process = bank.start().await;
    let (ada, bob) = customers(&bank).await;
    bank.broker.on_events(Events::Refused);
    ada.pay("bob", 200, "rent").await.unwrap();
    process.crash().await;
    assert!(bank.broker.taken().is_empty());
    bank.broker.on_events(Events::Confirmed);
    bank.let_leases_lapse().await;
    let _again = bank.start().await;
    is_posted_once(&bank, &ada, &bob).await;
    assert_eq!(bank.broker.taken().len(), 1);
}

async fn killed_before_it_knows_that_the_event_is_out_it_emits_it_again_under_the_same_id(
    bank: Arc<Bank>,
) {
    let _accounts = bank.serve_accounts().await;
    let process = bank.start().await;
    let (ada, bob) = customers(&bank).await;
    bank.broker.on_events(Events::NeverConfirmed);
    ada.pay("bob", 200, "rent").await.unwrap();
    bank.broker.takes(1).await;
    process.crash().await;
    bank.broker.on_events(Events::Confirmed);
    bank.let_leases_lapse().await;
    let _again = bank.start().await;
    bank.broker.takes(2).await;
    is_posted_once(&bank, &ada, &bob).await;
}

async fn killed_at_random_moments_it_loses_and_doubles_nothing(bank: Arc<Bank>) {
    const LIVES: usize = 6;
    const CALLS: usize = 12;
    let _accounts = bank.serve_accounts().await;
    let (ada, bob) = (
        bank.customer("ada", 300).await,
        bank.customer("bob", 300).await,
    );
    let sum = bank.accounts.sum();
    let mut calls: Vec<JoinHandle<Answer>> = Vec::new();
    for life in 0..LIVES {
        let process = bank.start().await;
        for call in (0..CALLS).map(|call| life * CALLS + call) {
            let (payer, payee) = if call % 2 == 0 {
                (&ada, "bob")
            } else {
                (&bob, "ada")
            };
            let payer = payer.clone();
            let amount = i64::try_from(call).unwrap() + 1;
            let key = call.to_string();
            let answer = async move { payer.pay_in_the_end(payee, amount, &key).await };
            calls.push(tokio::spawn(answer));
        }
        // Another moment in each life: after so many postings more were asked for.
        let more = usize::from(uuid::Uuid::new_v4().as_bytes()[0]) % CALLS;
        let asked = bank.accounts.times_asked_to_post() + more;
        bank.accounts.asked_to_post(asked).await;
        process.crash().await;
        bank.let_leases_lapse().await;
    }
    let _last = bank.start().await;
    let mut made = 0;
    for call in calls {
        // No answer but a final one ends a call.
        made += usize::from(soon("an answer", call).await.unwrap().is_ok());
    }
    bank.outbox_is_empty().await;
    assert_eq!(bank.accounts.sum(), sum);
    assert_eq!(
        bank.accounts.posted().len(),
        made,
        "each key took effect once"
    );
    let posted = bank.accounts.posted();
    let posted: HashSet<_> = posted.iter().map(ToString::to_string).collect();
    let told: HashSet<_> = bank.broker.taken().into_iter().collect();
    assert_eq!(told, posted, "each that was made was told of, and no other");
    assert_eq!(
        bank.count("transfers WHERE state = 'completed'").await,
        i64::try_from(made).unwrap()
    );
    assert_eq!(
        bank.count("transfers").await,
        i64::try_from(LIVES * CALLS).unwrap()
    );
}
