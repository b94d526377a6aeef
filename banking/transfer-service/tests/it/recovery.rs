//! Transfers that the account service did not decide at once.

use crate::{
    accounts::Script,
    bank::{Bank, Customer, named, order},
    on_both_databases,
};
use contracts::transfer::{TransferError, TransferStatus};
use futures_util::future::join_all;
use replybus::CallError;
use std::{sync::Arc, time::Duration};

on_both_databases! {
    what_the_account_service_refused_for_now_is_made_later,
    a_failure_that_the_bus_remembers_holds_nothing_up,
    a_handler_that_panicked_after_its_effect_is_asked_again,
    a_verdict_that_came_after_the_caller_gave_up_counts,
    a_posting_that_began_after_the_caller_gave_up_counts,
    an_account_service_that_was_away_is_waited_for,
    a_rejection_can_come_late_as_well,
    a_transfer_is_made_though_its_session_has_ended,
    replicas_recover_together_and_each_transfer_is_posted_once,
    asked_again_with_its_key_a_pending_transfer_goes_on_at_once,
}

/// A pending transfer of 200 from one customer to the other.
async fn pending(bank: &Bank, script: Script) -> (Customer, Customer) {
    let (ada, bob) = (
        bank.customer("ada", 500).await,
        bank.customer("bob", 0).await,
    );
    bank.accounts.on_postings(script);
    // Little time, so that the service gives up soon; more where a busy machine needs it.
    let mut within = Duration::from_millis(1500);
    loop {
        let call = ada.order(order(named("bob"), 200, "rent"));
        match call.timeout(within).await {
            Err(CallError::Handler(error)) => {
                assert_eq!(error, TransferError::Pending);
                return (ada, bob);
            }
            Err(late) if late.is_timeout() => within *= 2,
            other => panic!("{other:?}"),
        }
    }
}

async fn is_completed_once(bank: &Bank, ada: &Customer, bob: &Customer) {
    let settled = ada.is_settled().await;
    let [transfer] = settled.as_slice() else {
        panic!("{settled:?}")
    };
    assert_eq!(transfer.status, TransferStatus::Completed);
    assert_eq!(bank.accounts.posted(), [transfer.id]);
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);
    bank.outbox_is_empty().await;
    assert_eq!(bank.broker.taken(), [transfer.id.to_string()]);
    assert!(ada.pay("bob", 200, "rent").await.is_ok());
    assert_eq!(bank.accounts.posted().len(), 1);
}

async fn what_the_account_service_refused_for_now_is_made_later(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (ada, bob) = pending(&bank, Script::Unavailable).await;
    assert_eq!(ada.transactions().await[0].status, TransferStatus::Pending);
    assert!(bob.transactions().await.is_empty());
    // Refused a few times more.
    bank.accounts.asked_to_post(3).await;
    bank.accounts.on_postings(Script::Answer);
    is_completed_once(&bank, &ada, &bob).await;
}

async fn a_failure_that_the_bus_remembers_holds_nothing_up(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (ada, bob) = pending(&bank, Script::UnavailableForTheKey).await;
    bank.accounts.on_postings(Script::Answer);
    is_completed_once(&bank, &ada, &bob).await;
}

async fn a_handler_that_panicked_after_its_effect_is_asked_again(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (ada, bob) = pending(&bank, Script::Panic).await;
    bank.accounts.on_postings(Script::Answer);
    is_completed_once(&bank, &ada, &bob).await;
}

async fn a_verdict_that_came_after_the_caller_gave_up_counts(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (ada, bob) = pending(&bank, Script::WaitAfterwards).await;
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);
    assert_eq!(ada.transactions().await[0].status, TransferStatus::Pending);
    bank.accounts.on_postings(Script::Answer);
    is_completed_once(&bank, &ada, &bob).await;
}

async fn a_posting_that_began_after_the_caller_gave_up_counts(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (ada, bob) = pending(&bank, Script::WaitFirst).await;
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 0);
    // Recovery asks as well while the first one still waits, and both are let go.
    bank.accounts.asked_to_post(2).await;
    bank.accounts.on_postings(Script::Answer);
    is_completed_once(&bank, &ada, &bob).await;
}

async fn an_account_service_that_was_away_is_waited_for(bank: Arc<Bank>) {
    let accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (ada, bob) = pending(&bank, Script::Unavailable).await;
    accounts.shutdown().await.unwrap();
    bank.accounts.on_postings(Script::Answer);
    let seen = ada.transactions().await;
    assert_eq!(seen[0].status, TransferStatus::Pending);
    let _again = bank.serve_accounts().await;
    is_completed_once(&bank, &ada, &bob).await;
}

async fn a_rejection_can_come_late_as_well(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let ada = bank.customer("ada", 100).await;
    bank.customer("bob", 0).await;
    bank.accounts.on_postings(Script::Unavailable);
    let answer = ada.pay("bob", 200, "rent").await;
    assert_eq!(answer, Err(TransferError::Pending));
    bank.accounts.on_postings(Script::Answer);
    let settled = ada.is_settled().await;
    assert_eq!(settled[0].status, TransferStatus::Rejected);
    let answer = ada.pay("bob", 200, "rent").await;
    assert_eq!(answer, Err(TransferError::InsufficientBalance));
    assert_eq!(bank.count("outbox").await, 0);
    assert!(bank.broker.taken().is_empty());
}

async fn a_transfer_is_made_though_its_session_has_ended(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (ada, bob) = pending(&bank, Script::Unavailable).await;
    let identity = &bank.platform.identity;
    let session = identity.user_of(&ada.session).await.unwrap().session;
    identity.end_session(session).await.unwrap();
    bank.accounts.on_postings(Script::Answer);
    bank.broker.takes(1).await;
    assert_eq!(bob.transactions().await.len(), 1);
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);
}

async fn replicas_recover_together_and_each_transfer_is_posted_once(bank: Arc<Bank>) {
    const TRANSFERS: i64 = 40;
    let _accounts = bank.serve_accounts().await;
    let process = bank.start().await;
    let (ada, bob) = (
        bank.customer("ada", 500).await,
        bank.customer("bob", 0).await,
    );
    bank.accounts.on_postings(Script::Unavailable);
    let keys: Vec<_> = (0..TRANSFERS).map(|number| number.to_string()).collect();
    for answer in join_all(keys.iter().map(|key| ada.pay("bob", 10, key))).await {
        assert_eq!(answer, Err(TransferError::Pending));
    }
    process.crash().await;
    let _replicas = [bank.start().await, bank.start().await, bank.start().await];
    bank.accounts.on_postings(Script::Answer);
    ada.is_settled().await;
    bank.outbox_is_empty().await;
    assert_eq!(
        bank.accounts.balance(&bob.party.account_number),
        10 * TRANSFERS
    );
    let mut posted: Vec<_> = bank
        .accounts
        .posted()
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut taken = bank.broker.taken();
    posted.sort();
    taken.sort();
    assert_eq!(taken, posted, "each was told of once");
    assert_eq!(i64::try_from(posted.len()), Ok(TRANSFERS));
}

async fn asked_again_with_its_key_a_pending_transfer_goes_on_at_once(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let process = bank.start().await;
    let (ada, bob) = pending(&bank, Script::Unavailable).await;
    process.crash().await;
    // Leased for ever, so that recovery leaves it alone.
    let database = bank.database().await;
    let lease = format!("UPDATE transfers SET leased_until = {}", i64::MAX);
    let lease = sqlx::query(sqlx::AssertSqlSafe(lease)).execute(database.pool());
    assert_eq!(lease.await.unwrap().rows_affected(), 1);
    database.close().await;
    let _again = bank.start().await;
    bank.accounts.on_postings(Script::Answer);
    let answer = ada.pay_in_the_end("bob", 200, "rent").await;
    assert!(answer.is_ok());
    is_completed_once(&bank, &ada, &bob).await;
}
