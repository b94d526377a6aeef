//! Every method asks who is there, by itself.

use crate::{
    bank::{Bank, Customer, named, order},
    on_both_databases,
};
use chassis::{Identity, identity::SessionStore, keys::Keys};
use contracts::{
    PageRequest, PartHealth, Refused, UserId,
    transfer::{TransferError, TransferReceipt},
};
use replybus::CallError;
use std::{fmt::Debug, sync::Arc, time::Duration};

on_both_databases! {
    a_users_methods_refuse_whoever_is_no_user,
    the_administrators_methods_refuse_whoever_is_not_the_administrator,
    anybody_may_ask_how_it_is,
}

type Entry = (&'static str, String);

/// Another bank, whose keys are not ours.
fn another() -> Identity {
    let keys = Keys::draw().unwrap();
    Identity::new("auth-service", &keys, SessionStore::memory())
}

fn refused<T: Debug>(answer: Result<T, CallError<TransferError>>) -> Refused {
    match answer {
        Err(CallError::Handler(TransferError::Refused(refused))) => refused,
        other => panic!("{other:?}"),
    }
}

/// Pays with this for an identity.
async fn pay(bank: &Bank, entries: &[Entry]) -> Result<TransferReceipt, CallError<TransferError>> {
    let mut call = bank.transfers().transfer(order(named("bob"), 1, "forged"));
    for (name, value) in entries {
        call = call.metadata(*name, value);
    }
    call.await
}

async fn a_users_methods_refuse_whoever_is_no_user(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let ada = bank.customer("ada", 500).await;
    bank.customer("bob", 0).await;
    let ours = &bank.platform.identity;
    let hour = Duration::from_secs(3600);
    let theirs = another()
        .begin_session(ada.party.user_id, "ada", hour)
        .await;
    let gone = ours
        .begin_session(UserId::new(), "gone", hour)
        .await
        .unwrap();
    let session = ours.user_of(&gone).await.unwrap().session;
    ours.end_session(session).await.unwrap();
    let (name, service) = ours.of_program("auth-service").service_pass();
    let (_, admin) = ours.of_program("api-producer").admin_pass();
    let nobodies: [Vec<Entry>; 8] = [
        vec![],
        vec![("session", String::new())],
        vec![("session", "forged".to_owned())],
        vec![("session", tampered(&ada))],
        vec![("session", theirs.unwrap())],
        vec![("session", gone)],
        vec![("session", service.clone())],
        vec![(name, admin)],
    ];
    for entries in nobodies {
        let what = format!("{entries:?}");
        assert_eq!(
            refused(pay(&bank, &entries).await),
            Refused::Unauthenticated,
            "{what}"
        );
        let mut call = bank.transfers().transactions(PageRequest::default());
        for (name, value) in &entries {
            call = call.metadata(*name, value);
        }
        assert_eq!(refused(call.await), Refused::Unauthenticated, "{what}");
    }
    assert_eq!(bank.count("transfers").await, 0);
    assert!(bank.accounts.posted().is_empty());
    // The same call with the real one is answered.
    let real = [("session", ada.session.clone())];
    assert!(pay(&bank, &real).await.is_ok());
}

/// A session with another body under the old signature.
fn tampered(customer: &Customer) -> String {
    let parts: Vec<&str> = customer.session.split('.').collect();
    let body: String = parts[1].chars().rev().collect();
    format!("{}.{body}.{}", parts[0], parts[2])
}

async fn the_administrators_methods_refuse_whoever_is_not_the_administrator(bank: Arc<Bank>) {
    let _process = bank.start().await;
    let ada = bank.customer("ada", 500).await;
    let ours = &bank.platform.identity;
    let (pass, theirs) = another().admin_pass();
    let (_, service) = ours.of_program("auth-service").service_pass();
    let not_admin: [(Vec<Entry>, Refused); 5] = [
        (vec![], Refused::Unauthenticated),
        (
            vec![("session", ada.session.clone())],
            Refused::Unauthenticated,
        ),
        (vec![(pass, ada.session.clone())], Refused::Unauthenticated),
        (vec![(pass, theirs)], Refused::Unauthenticated),
        (vec![(pass, service)], Refused::Forbidden),
    ];
    for (entries, expected) in not_admin {
        let mut totals = bank.transfers().admin_totals();
        let mut all = bank
            .transfers()
            .admin_transfers(PageRequest::default(), None, None);
        for (name, value) in &entries {
            totals = totals.metadata(*name, value);
            all = all.metadata(*name, value);
        }
        assert_eq!(refused(totals.await), expected, "{entries:?}");
        assert_eq!(refused(all.await), expected, "{entries:?}");
    }
}

async fn anybody_may_ask_how_it_is(bank: Arc<Bank>) {
    let _process = bank.start().await;
    let health = bank.transfers().health().await.unwrap();
    assert_eq!(health.service, "transfer-service");
    assert_eq!(
        (health.status, health.database),
        (PartHealth::Up, PartHealth::Up)
    );
}
