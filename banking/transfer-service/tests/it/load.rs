//! Many calls at once.

use crate::{
    accounts::Script,
    bank::{Bank, named, order},
    on_both_databases,
};
use contracts::PartHealth;
use std::{future::IntoFuture, sync::Arc};

on_both_databases! {
    while_the_account_service_is_silent_who_does_not_need_it_is_answered,
}

async fn while_the_account_service_is_silent_who_does_not_need_it_is_answered(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let ada = bank.customer("ada", 500).await;
    bank.customer("bob", 0).await;
    ada.pay("bob", 1, "before").await.unwrap();
    bank.accounts.on_parties(Script::WaitFirst);
    let calls = (0..300).map(|key| ada.order(order(named("bob"), 1, &format!("{key}"))));
    let calls: Vec<_> = calls.map(|call| tokio::spawn(call.into_future())).collect();
    bank.accounts.asked_for_parties(16).await;
    // Within the time of their contract, behind all of them.
    assert_eq!(ada.transactions().await.len(), 1);
    let health = bank.transfers().health().await.unwrap();
    assert_eq!(health.status, PartHealth::Up);
    bank.accounts.on_parties(Script::Answer);
    for call in calls {
        call.abort();
    }
    assert!(ada.pay_in_the_end("bob", 1, "after").await.is_ok());
}
