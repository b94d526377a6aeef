//! Deposits and withdrawals are told of: the event is part of the posting.

use crate::branch::{Branch, Customer};
use contracts::{
    Movement, Refused, TransactionCompleted,
    account::{AccountError, OPENING_BALANCE},
};
use uuid::Uuid;

/// The events that wait for a subscriber, of which there is none here, the oldest first.
async fn events(branch: &Branch) -> Vec<TransactionCompleted> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT o.id, o.event FROM outbox o JOIN postings p ON p.id = o.id
        WHERE p.verdict = 'posted' ORDER BY o.id",
    )
    .fetch_all(branch.database.pool())
    .await
    .unwrap();
    let events = rows.into_iter().map(|(id, event)| {
        let event: TransactionCompleted = serde_json::from_str(&event).unwrap();
        assert_eq!(event.id.to_string(), id);
        event
    });
    events.collect()
}

async fn what_is_paid_in_or_out_leaves_one_event_and_all_else_none(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    for _ in 0..3 {
        ada.deposit(50, "in").await.unwrap();
        ada.withdraw(20, "out").await.unwrap();
    }
    let too_much = ada.withdraw(OPENING_BALANCE + 31, "too much").await;
    assert_eq!(too_much, Err(AccountError::InsufficientBalance));
    let transfer = branch.post(Uuid::now_v7(), &ada, &grace, 5).await;
    transfer.unwrap();

    let events = events(branch).await;
    let [paid_in, paid_out] = events.as_slice() else {
        panic!("{events:?}");
    };
    for (event, units, balance) in [
        (paid_in, 50, OPENING_BALANCE + 50),
        (paid_out, 20, OPENING_BALANCE + 30),
    ] {
        assert_eq!(event.amount.minor_units(), units);
        assert_eq!(event.proof, None, "it is signed when it is emitted");
        let (party, new_balance) = match &event.movement {
            Movement::Deposit { to, new_balance } if units == 50 => (to, *new_balance),
            Movement::Withdrawal { from, new_balance } if units == 20 => (from, *new_balance),
            other => panic!("{other:?}"),
        };
        assert_eq!((party.user_id, new_balance), (ada.id, balance));
        assert_eq!(party.account_number, ada.number);
    }
}

async fn without_its_event_nothing_is_posted(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let rename = async |statement| {
        let renamed = sqlx::query(statement).execute(branch.database.pool());
        renamed.await.unwrap();
    };
    rename("ALTER TABLE outbox RENAME TO elsewhere").await;
    let unavailable = Err(AccountError::Refused(Refused::Unavailable));
    assert_eq!(ada.deposit(50, "in").await, unavailable);
    assert_eq!(ada.balance().await, OPENING_BALANCE);
    rename("ALTER TABLE elsewhere RENAME TO outbox").await;
    assert_eq!(ada.deposit(50, "in").await, Ok(OPENING_BALANCE + 50));
    assert_eq!(events(branch).await.len(), 1);
}

on_each_database! {
    what_is_paid_in_or_out_leaves_one_event_and_all_else_none,
    without_its_event_nothing_is_posted,
}
