//! The bank's contracts are those of `contracts.lock`: whoever changes one sees whom that breaks.
#![allow(clippy::unwrap_used, reason = "tests say what they expect")]

use contracts::{TransactionCompleted, account, auth, notification, transfer};
use replybus::schema::{Contracts, Impact};

fn contracts() -> Contracts {
    Contracts::builder()
        .service(account::AccountsClient::CONTRACT)
        .service(auth::AuthClient::CONTRACT)
        .service(notification::NotificationsClient::CONTRACT)
        .service(transfer::TransfersClient::CONTRACT)
        .event::<TransactionCompleted>()
        .build()
        .unwrap()
}

#[test]
fn the_contracts_are_those_of_the_lock() {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/contracts.lock");
    if let Err(error) = contracts().check_lock(lock) {
        panic!("{error}");
    }
}

#[test]
fn the_lock_would_notice_a_field_that_is_gone() {
    let before = contracts()
        .to_json()
        .replace("\"created_at\"", "\"booked_at\"");
    let before = Contracts::from_json(&before).unwrap();
    let changes = contracts().changes_since(&before);
    assert_eq!(changes[0].impact, Impact::Breaking);
    let text: Vec<String> = changes.iter().map(ToString::to_string).collect();
    let expected = "breaking: Accounts.entries reply[].booked_at is not sent by a service \
                    with the new contract, and a caller with the old one does not read it without";
    assert!(text.contains(&expected.to_owned()), "{text:#?}");
}
