//! Many at once, on few accounts.

use crate::branch::{Branch, Customer, refusal};
use contracts::{
    Amount,
    account::{AccountError, OPENING_BALANCE},
};
use futures_util::{StreamExt, stream};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use replybus::CallError;
use uuid::Uuid;

/// Calls that are made at once.
const AT_ONCE: usize = 64;

async fn an_account_pays_out_what_is_on_it_and_no_more(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let (ada, calls) = (&ada, 1_010);
    let paid = stream::iter(0..calls)
        .map(|n| async move { ada.withdraw(100, &format!("w{n}")).await })
        .buffer_unordered(AT_ONCE);
    let (mut succeeded, mut refused) = (0, 0);
    let answers: Vec<_> = paid.collect().await;
    for answer in answers {
        match answer {
            Ok(_) => succeeded += 1,
            Err(AccountError::InsufficientBalance) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((succeeded, refused), (1_000, 10));
    assert_eq!(ada.balance().await, 0);
}

async fn crossing_transfers_among_few_accounts_end_and_lose_nothing(branch: &Branch) {
    let customers: [Customer; 4] = branch.customers().await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let orders: Vec<_> = (0..800)
        .map(|_| {
            let from = random.random_range(0..4);
            let to = (from + random.random_range(1..4)) % 4;
            (from, to, random.random_range(1..60_000))
        })
        .collect();
    let customers = &customers;
    let moved = stream::iter(orders).map(|(from, to, units)| async move {
        let posted = branch
            .post(Uuid::now_v7(), &customers[from], &customers[to], units)
            .await;
        match posted {
            Ok(_) => true,
            Err(CallError::Handler(AccountError::InsufficientBalance)) => false,
            Err(error) => panic!("{error:?}"),
        }
    });
    let moved: Vec<bool> = moved.buffer_unordered(AT_ONCE).collect().await;
    assert!(moved.iter().any(|moved| *moved), "nothing was moved");
    assert!(!moved.iter().all(|moved| *moved), "nothing was rejected");
    let mut sum = 0;
    for customer in customers {
        sum += customer.balance().await;
    }
    assert_eq!(sum, 4 * OPENING_BALANCE);
}

async fn a_transfer_to_its_own_account_is_refused(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let refused = refusal(branch.post(Uuid::now_v7(), &ada, &ada, 10).await);
    assert!(matches!(refused, AccountError::Refused(_)), "{refused:?}");
    assert_eq!(ada.balance().await, OPENING_BALANCE);
}

async fn a_transfer_to_an_account_that_is_not_there_is_refused(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let mut nobody = ada.clone();
    nobody.number = "000000".parse().unwrap();
    let id = Uuid::now_v7();
    for (from, to) in [(&ada, &nobody), (&nobody, &ada)] {
        let refused = refusal(branch.post(id, from, to, 10).await);
        assert_eq!(refused, AccountError::NotFound("Account".to_owned()));
    }
    let grace = branch.customer("grace").await;
    branch.post(id, &ada, &grace, 10).await.unwrap();
}

async fn more_than_can_be_counted_is_refused(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    // As if it had been paid in bit by bit, and so that all that is in the bank can be counted.
    let most = i64::MAX - 1_000_000_000;
    for statement in [
        "UPDATE accounts SET balance = balance + $2, entries = 2 WHERE account_number = $1",
        "INSERT INTO postings (id, owner, idempotency_key, kind, to_account, amount, verdict,
            posted_at) VALUES ('much', 'test', 'much', 'deposit', $1, $2, 'posted', 1)",
        "INSERT INTO entries (posting, side, amount) SELECT 'much', -1, CAST($2 AS BIGINT)
            FROM accounts WHERE account_number = $1",
        "INSERT INTO entries (posting, side, amount, account_number, number, balance)
            SELECT 'much', 1, CAST($2 AS BIGINT), $1, 2, balance
            FROM accounts WHERE account_number = $1",
    ] {
        let written = sqlx::query(statement)
            .bind(grace.number.as_str())
            .bind(most)
            .execute(branch.database.pool());
        assert_eq!(written.await.unwrap().rows_affected(), 1);
    }
    let too_much = Amount::MAX;
    let too_large = AccountError::BalanceTooLarge;
    assert_eq!(grace.deposit(too_much, "key").await, Err(too_large.clone()));
    ada.deposit(too_much, "key").await.unwrap();
    let id = Uuid::now_v7();
    let refused = refusal(branch.post(id, &ada, &grace, too_much).await);
    assert_eq!(refused, too_large);
    let before = grace.balance().await;
    assert_eq!(
        grace.withdraw(too_much, "less").await,
        Ok(before - too_much)
    );
    let again = refusal(branch.post(id, &ada, &grace, too_much).await);
    assert_eq!(again, too_large, "once rejected");
    branch.post(Uuid::now_v7(), &ada, &grace, 10).await.unwrap();
}

on_each_database! {
    an_account_pays_out_what_is_on_it_and_no_more,
    crossing_transfers_among_few_accounts_end_and_lose_nothing,
    a_transfer_to_its_own_account_is_refused,
    a_transfer_to_an_account_that_is_not_there_is_refused,
    more_than_can_be_counted_is_refused,
}
