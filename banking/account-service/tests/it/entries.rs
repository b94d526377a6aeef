//! All entries on an account, read as a stream.

use crate::branch::{Branch, Customer};
use contracts::{
    Refused,
    account::{AccountError, StatementFilter},
};
use futures_util::TryStreamExt as _;
use replybus::CallError;
use std::collections::HashSet;
use town::{history::deposit_many, wait::soon};

/// So few bytes of entries are on their way that most are read later.
const FEW: u32 = 4 * 1024;

async fn all_are_read_though_others_are_posted_meanwhile(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    for customer in [&ada, &grace] {
        deposit_many(&branch.database, customer.number.as_str(), 12_345)
            .await
            .unwrap();
    }
    let mut entries = ada.entries(StatementFilter::default(), FEW).await.unwrap();
    let mut all = vec![entries.next().await.unwrap().unwrap()];
    for n in 0..50 {
        ada.deposit(7, &format!("meanwhile {n}")).await.unwrap();
        all.push(entries.next().await.unwrap().unwrap());
    }
    let rest: Vec<_> = soon("all are read", entries.try_collect()).await.unwrap();
    all.extend(rest);
    let numbers: Vec<_> = all.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..=12_346).rev().collect::<Vec<i64>>());
    // Each is as a statement has it.
    let page = ada.statement(3, 100).await.items;
    let same = all.iter().skip_while(|entry| entry.number > page[0].number);
    assert!(same.take(100).eq(&page));
    let ids: HashSet<_> = all.iter().map(|entry| entry.id).collect();
    assert_eq!(ids.len(), all.len());
}

async fn what_is_rare_is_found_wherever_it_is(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    let numbers = async |filter| {
        let entries = ada.entries(filter, FEW).await.unwrap();
        let entries = entries.map_ok(|entry| entry.number);
        soon("it is found", entries.try_collect::<Vec<_>>())
            .await
            .unwrap()
    };
    branch
        .post(uuid::Uuid::now_v7(), &grace, &ada, 5)
        .await
        .unwrap();
    let number = ada.number.as_str();
    deposit_many(&branch.database, number, 3_000).await.unwrap();
    branch
        .post(uuid::Uuid::now_v7(), &ada, &grace, 5)
        .await
        .unwrap();
    let by = |text: &str| StatementFilter {
        search: Some(text.to_owned()),
        ..StatementFilter::default()
    };
    assert_eq!(numbers(by("USER1")).await, [3_003, 2]);
    assert!(numbers(by("nobody")).await.is_empty());
    assert!(numbers(by("a\0b")).await.is_empty());
    for (up_to, first) in [(2, 2), (1_000, 1_000), (1_001, 1_001), (9_999, 3_003)] {
        let filter = StatementFilter {
            up_to: Some(up_to),
            ..StatementFilter::default()
        };
        assert_eq!(numbers(filter).await, (1..=first).rev().collect::<Vec<_>>());
    }
    for none in [0, -1, i64::MIN] {
        let filter = StatementFilter {
            up_to: Some(none),
            ..StatementFilter::default()
        };
        assert!(numbers(filter).await.is_empty());
    }
}

async fn a_session_that_ends_reads_no_further(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let number = ada.number.as_str();
    deposit_many(&branch.database, number, 5_000).await.unwrap();
    let mut entries = ada.entries(StatementFilter::default(), FEW).await.unwrap();
    entries.next().await.unwrap().unwrap();
    let identity = &branch.platform.identity;
    let user = identity.user_of(&ada.session).await.unwrap();
    identity.end_session(user.session).await.unwrap();
    let read = soon("it ends", entries.try_collect::<Vec<_>>()).await;
    let refused = AccountError::from(Refused::Unauthenticated);
    match read {
        Err(CallError::Handler(error)) => assert_eq!(error, refused),
        read => panic!("{:?}", read.map(|entries| entries.len())),
    }
}

async fn a_user_reads_so_many_at_once_and_others_theirs(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    for customer in [&ada, &grace] {
        let number = customer.number.as_str();
        deposit_many(&branch.database, number, 5_000).await.unwrap();
    }
    let open = async |customer: &Customer| customer.entries(StatementFilter::default(), FEW).await;
    let mut reading = Vec::new();
    for _ in 0..4 {
        reading.push(open(&ada).await.unwrap());
    }
    let refused = match open(&ada).await {
        Err(CallError::Handler(error)) => error,
        other => panic!("{:?}", other.map(drop)),
    };
    assert_eq!(refused, AccountError::TooManyExports(4));
    drop(open(&grace).await.unwrap());
    // One that is left makes room.
    reading.pop();
    let another = town::wait::eventually("there is room", async || open(&ada).await.ok());
    drop(another.await);
}

on_each_database! {
    a_user_reads_so_many_at_once_and_others_theirs,
    all_are_read_though_others_are_posted_meanwhile,
    what_is_rare_is_found_wherever_it_is,
    a_session_that_ends_reads_no_further,
}
