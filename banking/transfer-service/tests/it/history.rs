//! Who sees which transfers.

use crate::{
    accounts::Script,
    bank::{Bank, Customer},
    on_both_databases,
};
use contracts::{
    Page, PageRequest, UserId,
    transfer::{AdminTransfer, Transaction, TransferError, TransferStatus},
};
use std::sync::Arc;

on_both_databases! {
    both_sides_see_what_was_made_and_only_the_payer_what_was_not,
    pages_are_newest_first_and_leave_nothing_out,
    the_administrator_sees_all_and_finds_by_part_of_a_name_or_number,
}

async fn page(customer: &Customer, bank: &Bank, number: u32, size: u32) -> Page<Transaction> {
    let call = bank
        .transfers()
        .transactions(PageRequest::new(number, size));
    call.metadata("session", &customer.session).await.unwrap()
}

async fn both_sides_see_what_was_made_and_only_the_payer_what_was_not(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (ada, bob) = (
        bank.customer("ada", 500).await,
        bank.customer("bob", 0).await,
    );
    let eve = bank.customer("eve", 500).await;
    ada.pay("bob", 100, "made").await.unwrap();
    ada.pay("bob", 9_999, "rejected").await.unwrap_err();
    bank.accounts.on_postings(Script::Unavailable);
    ada.pay("bob", 50, "pending").await.unwrap_err();

    use TransferStatus::{Completed, Pending, Rejected};
    let states = |page: &Page<Transaction>| -> Vec<_> {
        page.items.iter().map(|transfer| transfer.status).collect()
    };
    let sent = page(&ada, &bank, 1, 20).await;
    assert_eq!(states(&sent), [Pending, Rejected, Completed]);
    let received = page(&bob, &bank, 1, 20).await;
    assert_eq!((states(&received), received.total), (vec![Completed], 1));
    let others = page(&eve, &bank, 1, 20).await;
    assert_eq!((others.total, others.items.len()), (0, 0));
}

async fn pages_are_newest_first_and_leave_nothing_out(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (ada, bob) = (
        bank.customer("ada", 500).await,
        bank.customer("bob", 500).await,
    );
    for number in 1..=7 {
        let (payer, payee) = if number % 3 == 0 {
            (&bob, "ada")
        } else {
            (&ada, "bob")
        };
        payer.pay(payee, number, &number.to_string()).await.unwrap();
    }
    for reader in [&ada, &bob] {
        let mut amounts = Vec::new();
        for number in 1..=3 {
            let page = page(reader, &bank, number, 3).await;
            assert_eq!((page.total, page.pages, page.page), (7, 3, number));
            amounts.extend(page.items.iter().map(|item| item.amount.minor_units()));
        }
        assert_eq!(amounts, [7, 6, 5, 4, 3, 2, 1]);
    }
    assert!(page(&ada, &bank, 1_000_000, 100).await.items.is_empty());
}

async fn the_administrator_sees_all_and_finds_by_part_of_a_name_or_number(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let ada = bank.customer("Ada_1", 500).await;
    let bob = bank.customer("bob", 500).await;
    let eve = bank.customer("eveX1", 500).await;
    ada.pay("bob", 100, "a").await.unwrap();
    bob.pay("eveX1", 20, "b").await.unwrap();
    eve.pay("bob", 3, "c").await.unwrap();
    let rejected = eve.pay("Ada_1", 9_999, "d").await;
    assert_eq!(rejected, Err(TransferError::InsufficientBalance));

    let pass = bank
        .platform
        .identity
        .of_program("api-producer")
        .admin_pass();
    let totals = bank.transfers().admin_totals().metadata(pass.0, &pass.1);
    let totals = totals.await.unwrap();
    assert_eq!((totals.transfers, totals.amount), (3, 123));

    let find = async |user: Option<UserId>, search: Option<&str>| -> Vec<i64> {
        let search = search.map(str::to_owned);
        let request = PageRequest::new(1, 20);
        let call = bank.transfers().admin_transfers(request, user, search);
        let page: Page<AdminTransfer> = call.metadata(pass.0, &pass.1).await.unwrap();
        assert_eq!(page.total, u64::try_from(page.items.len()).unwrap());
        page.items
            .iter()
            .map(|item| item.amount.minor_units())
            .collect()
    };
    let number = eve.party.account_number.as_str();
    let stranger = Some(UserId::new());
    for (user, search, expected) in [
        (None, None, vec![9_999, 3, 20, 100]),
        (None, Some(""), vec![9_999, 3, 20, 100]),
        (Some(ada.party.user_id), None, vec![9_999, 100]),
        (stranger, None, vec![]),
        (None, Some("ADA"), vec![9_999, 100]),
        (None, Some("a_1"), vec![9_999, 100]),
        // No pattern: `_` is no other letter, `%` is not everything.
        (None, Some("e_X1"), vec![]),
        (None, Some("%"), vec![]),
        (None, Some("!"), vec![]),
        (None, Some("\\"), vec![]),
        (None, Some("'; DROP TABLE transfers; --"), vec![]),
        (None, Some("b\0b"), vec![]),
        (None, Some(&number[2..]), vec![9_999, 3, 20]),
        (Some(bob.party.user_id), Some("eve"), vec![3, 20]),
        (Some(ada.party.user_id), Some("bob"), vec![100]),
    ] {
        assert_eq!(find(user, search).await, expected, "{user:?} {search:?}");
    }
}
