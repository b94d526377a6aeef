//! Many calls at once.

use crate::{
    accounts::Script,
    bank::{Bank, named, order},
    on_both_databases,
};
use contracts::{PageRequest, PartHealth};
use std::{future::IntoFuture, sync::Arc, time::Duration};

const SOON: Duration = Duration::from_secs(30);

on_both_databases! {
    while_the_account_service_is_silent_who_does_not_need_it_is_answered,
}

async fn while_the_account_service_is_silent_who_does_not_need_it_is_answered(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let ada = bank.customer("ada", 500).await;
    bank.customer("bob", 0).await;
    ada.pay("bob", 1, "before").await.unwrap();
    // Of who was paid before it is known who they are.
    bank.customer("carol", 0).await;
    bank.accounts.on_parties(Script::WaitFirst);
    // In turns of as many as are served at once, each as long as the account service is waited for,
    // they would take longer.
    let calls = (0..1_000).map(|key| {
        let call = ada.order(order(named("carol"), 1, &key.to_string()));
        tokio::spawn(call.timeout(2 * SOON).into_future())
    });
    let calls: Vec<_> = calls.collect();
    bank.accounts.asked_for_parties(16).await;
    let page = bank.transfers().transactions(PageRequest::default());
    let page = page.metadata("session", &ada.session).timeout(SOON).await;
    assert_eq!(page.unwrap().items.len(), 1);
    let health = bank.transfers().health().timeout(SOON).await;
    assert_eq!(health.unwrap().status, PartHealth::Up);
    bank.accounts.on_parties(Script::Answer);
    for call in calls {
        call.abort();
    }
    assert!(ada.pay_in_the_end("bob", 1, "after").await.is_ok());
}
