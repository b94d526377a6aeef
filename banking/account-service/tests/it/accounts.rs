//! Opening accounts, and what their holders and others see of them.

use crate::{
    audit,
    branch::{Branch, Customer, refusal},
};
use contracts::{
    PageRequest, Refused, UserId,
    account::{
        AccountError, EntryKind, Holder, OPENING_BALANCE, Recipient, StatementEntry,
        StatementFilter,
    },
};
use futures_util::{TryStreamExt as _, future::join_all};
use std::collections::HashSet;
use uuid::Uuid;

async fn an_account_is_opened_once_for_each_user(branch: &Branch) {
    let id = UserId::new();
    let opened = join_all((0..20).map(|_| branch.open(id, "Ada"))).await;
    let opened: Vec<_> = opened.into_iter().map(Result::unwrap).collect();
    assert!(opened.iter().all(|profile| profile == &opened[0]));
    assert_eq!(audit::postings(&branch.database).await, 1);

    let profile = &opened[0];
    assert_eq!((profile.id, profile.username.as_str()), (id, "Ada"));
    assert_eq!(profile.phone.as_deref(), Some("49****78"));
    assert_eq!(profile.balance, OPENING_BALANCE);
    let session = branch.session(id, "Ada").await;
    let me = branch.accounts.me().metadata("session", session);
    assert_eq!(me.await.unwrap(), *profile);
}

async fn users_opened_at_once_get_accounts_of_their_own(branch: &Branch) {
    let customers: [Customer; 30] = branch.customers().await;
    let numbers: HashSet<_> = customers.iter().map(|customer| &customer.number).collect();
    assert_eq!(numbers.len(), 30);
}

async fn a_name_that_is_anothers_is_refused_whatever_its_case(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let refused = refusal(branch.open(UserId::new(), "ADA").await);
    assert_eq!(refused, Refused::Forbidden.into());
    assert_eq!(ada.balance().await, OPENING_BALANCE);
    assert_eq!(audit::postings(&branch.database).await, 1);
}

async fn a_session_without_an_account_is_told_so(branch: &Branch) {
    let mut nobody = branch.customer("ada").await;
    nobody.session = branch.session(UserId::new(), "nobody").await;
    let not_found = AccountError::NotFound("Account".to_owned());
    assert_eq!(nobody.deposit(1, "key").await, Err(not_found.clone()));
    assert_eq!(nobody.withdraw(1, "key").await, Err(not_found.clone()));
    let accounts = &branch.accounts;
    let me = nobody.asks(accounts.me()).await;
    assert_eq!(refusal(me), not_found);
    let balance = nobody.asks(accounts.balance()).await;
    assert_eq!(refusal(balance), not_found);
    let statement = accounts.statement(PageRequest::default(), StatementFilter::default());
    assert_eq!(refusal(nobody.asks(statement).await), not_found);
    let entries = nobody.entries(StatementFilter::default(), 1024).await;
    assert_eq!(refusal(entries), not_found);
}

async fn a_statement_tells_what_happened_newest_first(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    ada.deposit(500, "in").await.unwrap();
    ada.withdraw(200, "out").await.unwrap();
    branch.post(Uuid::now_v7(), &ada, &grace, 30).await.unwrap();
    branch.post(Uuid::now_v7(), &grace, &ada, 4).await.unwrap();

    let page = ada.statement(1, 10).await;
    let seen: Vec<_> = page.items.iter().map(summary).collect();
    let other = Some(("user1", &grace.number));
    assert_eq!(
        seen,
        [
            (5, EntryKind::Transfer, 4, 100_274, other),
            (4, EntryKind::Transfer, -30, 100_270, other),
            (3, EntryKind::Withdrawal, -200, 100_300, None),
            (2, EntryKind::Deposit, 500, 100_500, None),
            (1, EntryKind::Opening, 100_000, 100_000, None),
        ]
    );
    assert_eq!((page.total, page.pages), (5, 1));

    let grace = grace.statement(1, 2).await;
    assert_eq!((grace.total, grace.pages), (3, 2));
    assert_eq!(grace.items[0].amount, -4);
    assert_eq!(grace.items[0].counterparty.as_ref(), Some(&ada.number));
}

fn summary(
    entry: &StatementEntry,
) -> (
    i64,
    EntryKind,
    i64,
    i64,
    Option<(&str, &contracts::AccountNumber)>,
) {
    let name = entry.counterparty_username.as_deref();
    let other = name.zip(entry.counterparty.as_ref());
    (entry.number, entry.kind, entry.amount, entry.balance, other)
}

async fn the_pages_of_a_statement_are_all_of_it_and_nothing_twice(branch: &Branch) {
    let ada = branch.customer("ada").await;
    for n in 0..22 {
        ada.deposit(1, &format!("d{n}")).await.unwrap();
    }
    let mut numbers = Vec::new();
    for number in 1..=6 {
        let page = ada.statement(number, 5).await;
        assert_eq!((page.total, page.pages, page.page), (23, 5, number));
        numbers.extend(page.items.iter().map(|entry| entry.number));
    }
    assert_eq!(numbers, (1..=23).rev().collect::<Vec<i64>>());
    let deepest = ada.statement(u32::MAX, u32::MAX).await;
    assert!(deepest.items.is_empty());
    assert_eq!(deepest.total, 23);
}

async fn entries_are_found_by_who_what_and_when(branch: &Branch) {
    let [ada, grace, eve] = branch.customers().await;
    let rent = Uuid::now_v7();
    let text = Some("Tiền NHÀ, 50% _");
    branch.post_for(rent, &ada, &grace, 7, text).await.unwrap();
    branch.post(Uuid::now_v7(), &eve, &ada, 5).await.unwrap();
    ada.deposit(3, "in").await.unwrap();
    let found = async |customer: &Customer, filter: StatementFilter| {
        let page = customer.find(1, 10, filter.clone()).await;
        let all = customer.entries(filter, 1024).await.unwrap();
        assert_eq!(all.try_collect::<Vec<_>>().await.unwrap(), page.items);
        let amounts: Vec<i64> = page.items.iter().map(|entry| entry.amount).collect();
        assert_eq!(page.total, u64::try_from(amounts.len()).unwrap());
        amounts
    };
    let by = |text: &str| StatementFilter {
        search: Some(text.to_owned()),
        ..StatementFilter::default()
    };
    // By the other side, however their number is written, and by the reference in any case.
    assert_eq!(found(&ada, by("USER1")).await, [-7]);
    let (first, rest) = grace.number.as_str().split_at(4);
    assert_eq!(found(&ada, by(&format!("{first} {rest}"))).await, [-7]);
    for part in ["tiền nhà", "NHÀ", "50% _", " rent? "] {
        let expected: &[i64] = if part.contains("rent") { &[] } else { &[-7] };
        assert_eq!(found(&ada, by(part)).await, expected, "{part}");
    }
    assert_eq!(found(&ada, by("%")).await, [-7], "taken literally");
    assert_eq!(found(&grace, by("nhà")).await, [7], "for both sides to see");
    assert!(found(&eve, by("nhà")).await.is_empty());
    assert!(found(&ada, by("a\0b")).await.is_empty());
    assert_eq!(found(&ada, by("")).await.len(), 4);

    let all = ada.statement(1, 10).await.items;
    let entry = &all[2];
    assert_eq!((entry.id, entry.amount), (rent, -7));
    assert_eq!(entry.reference.as_ref().map(|text| text.as_str()), text);
    assert!(all[0].reference.is_none());

    // From a moment on, and before one.
    let at = all.iter().map(|entry| entry.created_at).collect::<Vec<_>>();
    let during = |from, to| StatementFilter {
        from,
        to,
        ..StatementFilter::default()
    };
    assert_eq!(found(&ada, during(Some(at[1]), None)).await, [3, 5]);
    assert_eq!(found(&ada, during(Some(at[2]), Some(at[0]))).await, [5, -7]);
    assert!(found(&ada, during(None, Some(at[3]))).await.is_empty());

    // A page of what passes, and no more of it than there was.
    let filter = StatementFilter {
        up_to: Some(3),
        ..StatementFilter::default()
    };
    let page = ada.find(2, 2, filter).await;
    assert_eq!((page.total, page.pages), (3, 2));
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].kind, EntryKind::Opening);

    let mut nobody = ada;
    nobody.session = branch.session(UserId::new(), "nobody").await;
    let statement = branch.accounts.statement(PageRequest::default(), by("x"));
    let refused = refusal(nobody.asks(statement).await);
    assert_eq!(refused, AccountError::NotFound("Account".to_owned()));
}

async fn anyone_with_a_session_finds_the_holder_of_an_account(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    let holder = Holder {
        account_number: grace.number.clone(),
        username: "user1".to_owned(),
    };
    for account in [
        Recipient::AccountNumber(grace.number),
        Recipient::Username("USER1".to_owned()),
    ] {
        let lookup = branch.accounts.lookup(account);
        assert_eq!(ada.asks(lookup).await.unwrap(), holder);
    }
    for nobody in [
        Recipient::AccountNumber("999999".parse().unwrap()),
        Recipient::Username("nobody".to_owned()),
        Recipient::Username("user1\0".to_owned()),
    ] {
        let lookup = branch.accounts.lookup(nobody);
        let refused = refusal(ada.asks(lookup).await);
        assert!(matches!(refused, AccountError::NotFound(_)), "{refused:?}");
    }
}

async fn parties_are_found_by_name_or_number(branch: &Branch) {
    let ada = branch.customer("Ada").await;
    let grace = branch.customer("Grace").await;
    let parties = async |from: UserId, to: Recipient| {
        let asked = branch.accounts.parties(from, to);
        branch.as_service("transfer-service", asked).await
    };
    let by_name = |name: &str| Recipient::Username(name.to_owned());
    for to in [
        by_name("gRaCe"),
        Recipient::AccountNumber(grace.number.clone()),
    ] {
        let found = parties(ada.id, to).await.unwrap();
        assert_eq!((found.from.user_id, found.to.user_id), (ada.id, grace.id));
        assert_eq!(found.from.account_number, ada.number);
        assert_eq!(
            (found.from.username.as_str(), found.to.username.as_str()),
            ("Ada", "Grace")
        );
        assert_eq!(found.to.account_number, grace.number);
    }
    let to_herself = parties(ada.id, by_name("ada")).await.unwrap();
    assert_eq!(to_herself.from, to_herself.to);

    let no_recipient = AccountError::NotFound("Recipient".to_owned());
    let long = "a".repeat(100_000);
    for name in ["", "grac", "grace ", "%", "_____", "gr\0ace", &long] {
        assert_eq!(refusal(parties(ada.id, by_name(name)).await), no_recipient);
    }
    let nowhere = Recipient::AccountNumber("999999".parse().unwrap());
    assert_eq!(refusal(parties(ada.id, nowhere).await), no_recipient);
    let nobody = parties(UserId::new(), by_name("grace")).await;
    assert_eq!(refusal(nobody), Refused::Forbidden.into());
}

on_each_database! {
    an_account_is_opened_once_for_each_user,
    users_opened_at_once_get_accounts_of_their_own,
    a_name_that_is_anothers_is_refused_whatever_its_case,
    a_session_without_an_account_is_told_so,
    a_statement_tells_what_happened_newest_first,
    the_pages_of_a_statement_are_all_of_it_and_nothing_twice,
    entries_are_found_by_who_what_and_when,
    anyone_with_a_session_finds_the_holder_of_an_account,
    parties_are_found_by_name_or_number,
}
