//! PostgreSQL is away, or falls silent.

use crate::bank::{Bank, behind_a_proxy};
use contracts::{PageRequest, Refused, transfer::TransferError};
use replybus::CallError;
use replybus_testkit::proxy::{Mode, Proxy};
use std::{future::IntoFuture, sync::Arc};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_that_is_the_answer() {
    behind_a_proxy(is_told_in_time).await;
}

/// In the time that the contract gives.
async fn is_told_in_time(bank: Arc<Bank>, proxy: Proxy) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let ada = bank.customer("ada", 500).await;
    let bob = bank.customer("bob", 0).await;
    proxy.set(Mode::Refuse);
    let unavailable = TransferError::Refused(Refused::Unavailable);
    let page = bank.transfers().transactions(PageRequest::default());
    let page = page.metadata("session", &ada.session).into_future();
    let (paid, page) = tokio::join!(ada.pay("bob", 200, "rent"), page);
    assert_eq!(paid, Err(unavailable.clone()));
    assert!(
        matches!(&page, Err(CallError::Handler(error)) if *error == unavailable),
        "{page:?}"
    );
    proxy.set(Mode::Pass);
    assert!(ada.pay_in_the_end("bob", 200, "rent").await.is_ok());
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_fell_silent_is_left_for_new_connections() {
    behind_a_proxy(goes_on_with_new_connections).await;
}

async fn goes_on_with_new_connections(bank: Arc<Bank>, proxy: Proxy) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let ada = bank.customer("ada", 500).await;
    let bob = bank.customer("bob", 0).await;
    ada.pay("bob", 1, "before").await.unwrap();
    proxy.set(Mode::SwallowOld);
    for key in ["a", "b", "c"] {
        assert!(ada.pay_in_the_end("bob", 1, key).await.is_ok());
    }
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 4);
    bank.broker.takes(4).await;
}
