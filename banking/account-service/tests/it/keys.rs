//! A key is one effect, however often it is asked for.

use crate::{
    audit,
    branch::{Branch, Customer, amount, key, refusal},
};
use contracts::account::{AccountError, OPENING_BALANCE};
use futures_util::future::join_all;
use uuid::Uuid;

async fn the_same_key_at_once_takes_effect_once(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    let deposits = join_all((0..40).map(|_| ada.deposit(70, "same"))).await;
    assert!(
        deposits
            .iter()
            .all(|answer| *answer == Ok(OPENING_BALANCE + 70)),
        "{deposits:?}"
    );
    let id = Uuid::now_v7();
    let transfers = join_all((0..40).map(|_| branch.post(id, &ada, &grace, 70))).await;
    let times: Vec<_> = transfers.into_iter().map(Result::unwrap).collect();
    assert!(times.iter().all(|posted| posted == &times[0]));
    assert_eq!(ada.balance().await, OPENING_BALANCE);
    assert_eq!(grace.balance().await, OPENING_BALANCE + 70);
    assert_eq!(audit::postings(&branch.database).await, 2 + 2);
}

async fn a_key_is_answered_with_what_it_was_answered_first(branch: &Branch) {
    let ada = branch.customer("ada").await;
    assert_eq!(ada.deposit(50, "in").await, Ok(100_050));
    assert_eq!(ada.withdraw(20, "out").await, Ok(100_030));
    assert_eq!(ada.deposit(50, "in").await, Ok(100_050));
    assert_eq!(ada.withdraw(20, "out").await, Ok(100_030));
    assert_eq!(ada.balance().await, 100_030);
}

async fn a_key_that_was_used_for_something_else_is_a_conflict(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    let conflict = Err(AccountError::KeyConflict);
    ada.deposit(50, "key").await.unwrap();
    assert_eq!(ada.deposit(51, "key").await, conflict);
    assert_eq!(ada.withdraw(50, "key").await, conflict);
    let id = Uuid::now_v7();
    branch.post(id, &ada, &grace, 5).await.unwrap();
    for (from, to, units) in [(&ada, &grace, 6), (&grace, &ada, 5)] {
        let refused = refusal(branch.post(id, from, to, units).await);
        assert_eq!(refused, AccountError::KeyConflict);
    }
    assert_eq!(ada.balance().await, OPENING_BALANCE + 45);
}

async fn of_two_bodies_under_one_key_at_once_one_takes_effect(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let answers = join_all((1..=20).map(|units| ada.deposit(units, "key"))).await;
    let balance = ada.balance().await;
    let paid_in = usize::try_from(balance - OPENING_BALANCE).unwrap();
    for (units, answer) in (1..=20).zip(answers) {
        if units == paid_in {
            assert_eq!(answer, Ok(balance));
        } else {
            assert_eq!(answer, Err(AccountError::KeyConflict));
        }
    }
}

async fn another_users_same_key_is_another_effect(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    // The words under which the service itself keeps openings and transfers, too.
    for name in ["same", "opening", "transfer", &ada.id.to_string()] {
        let before = (ada.balance().await, grace.balance().await);
        assert_eq!(ada.deposit(1, name).await, Ok(before.0 + 1));
        assert_eq!(grace.withdraw(1, name).await, Ok(before.1 - 1));
    }
}

async fn a_transfers_rejection_lasts_though_money_arrives(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    let id = Uuid::now_v7();
    let units = OPENING_BALANCE + 1;
    for paid_in in [0, 500] {
        if paid_in > 0 {
            ada.deposit(paid_in, "more").await.unwrap();
        }
        let refused = refusal(branch.post(id, &ada, &grace, units).await);
        assert_eq!(refused, AccountError::InsufficientBalance);
    }
    let other = refusal(branch.post(id, &ada, &grace, 1).await);
    assert_eq!(other, AccountError::KeyConflict);
    branch
        .post(Uuid::now_v7(), &ada, &grace, units)
        .await
        .unwrap();
    assert_eq!(ada.balance().await, 499);
}

async fn a_withdrawals_rejection_lasts_though_money_arrives(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let units = OPENING_BALANCE + 1;
    let insufficient = Err(AccountError::InsufficientBalance);
    // Asked for under the bus's key too, and answered by the bus or by the books: it is the same.
    let on_the_bus = || {
        let call = branch.accounts.withdraw(amount(units), key("much"));
        ada.asks(call).idempotency_key("much")
    };
    assert_eq!(ada.withdraw(units, "much").await, insufficient);
    let refused = refusal(on_the_bus().await);
    assert_eq!(refused, AccountError::InsufficientBalance);
    ada.deposit(1, "one").await.unwrap();
    assert_eq!(ada.withdraw(units, "much").await, insufficient);
    let refused = refusal(on_the_bus().await);
    assert_eq!(refused, AccountError::InsufficientBalance);
    assert_eq!(ada.balance().await, units);
    let conflict = Err(AccountError::KeyConflict);
    assert_eq!(ada.withdraw(1, "much").await, conflict);
    assert_eq!(ada.deposit(units, "much").await, conflict);
    assert_eq!(ada.withdraw(units, "once more").await, Ok(0));
}

async fn copies_of_a_withdrawal_have_one_verdict_though_money_arrives_meanwhile(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let units = OPENING_BALANCE + 1;
    let copies = join_all((0..20).map(|_| ada.withdraw(units, "much")));
    let (answers, paid_in) = futures_util::future::join(copies, ada.deposit(1, "one")).await;
    paid_in.unwrap();
    let first = answers[0].clone();
    assert!(
        first == Ok(0) || first == Err(AccountError::InsufficientBalance),
        "{first:?}"
    );
    assert!(answers.iter().all(|answer| *answer == first), "{answers:?}");
    assert_eq!(ada.withdraw(units, "much").await, first);
    let left = if first.is_ok() { 0 } else { units };
    assert_eq!(ada.balance().await, left);
}

on_each_database! {
    the_same_key_at_once_takes_effect_once,
    a_key_is_answered_with_what_it_was_answered_first,
    a_key_that_was_used_for_something_else_is_a_conflict,
    of_two_bodies_under_one_key_at_once_one_takes_effect,
    another_users_same_key_is_another_effect,
    a_transfers_rejection_lasts_though_money_arrives,
    a_withdrawals_rejection_lasts_though_money_arrives,
    copies_of_a_withdrawal_have_one_verdict_though_money_arrives_meanwhile,
}
