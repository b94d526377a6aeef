//! One answer out of three services.

use crate::{
    services::Script,
    started::{Started, answer, bank},
    table::seen,
};
use contracts::{
    Refused, account::AccountError, notification::NotificationError, transfer::TransferError,
};
use reqwest::StatusCode;
use std::{sync::Arc, time::Duration};
use tokio::sync::Barrier;

#[tokio::test]
async fn the_services_are_asked_at_the_same_time() {
    let bank = bank().await;
    let barrier = Arc::new(Barrier::new(3));
    // Each one answers when all have been asked.
    bank.accounts.follows(Script::Meet(Arc::clone(&barrier)));
    bank.transfers.follows(Script::Meet(Arc::clone(&barrier)));
    bank.notifications.follows(Script::Meet(barrier));
    let told = answer(bank.signed("GET", "/api/dashboard")).await;
    assert_eq!(told.status, StatusCode::OK);
    let body = told.json();
    assert_eq!(body["account"]["username"], "ada");
    assert_eq!(body["transactions"]["items"][0]["direction"], "sent");
    assert_eq!(body["transactions"]["size"], 10);
    assert_eq!(body["notifications"][0]["message"], "You got 5");
    assert_eq!(body.as_object().unwrap().len(), 3);
    let seen = seen(&bank);
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|seen| seen.session() == Some("a.b.c")));
}

#[tokio::test]
async fn a_part_that_fails_is_marked_and_the_rest_still_comes() {
    let short = |limits: &mut api_producer::Limits| {
        // Enough for those that answer, on a machine that does much else.
        limits.dashboard_part = Duration::from_secs(2);
    };
    let bank = Started::with(short, true, None).await;
    bank.transfers.follows(Script::NeverAnswer);
    let told = answer(bank.signed("GET", "/api/dashboard")).await;
    assert_eq!(told.status, StatusCode::OK);
    let body = told.json();
    assert_eq!(body["account"]["balance"], 100_000);
    assert!(
        body["transactions"]["error"]
            .as_str()
            .unwrap()
            .starts_with("No answer in time")
    );
    assert_eq!(body["transactions"].as_object().unwrap().len(), 1);
    assert_eq!(body["notifications"].as_array().unwrap().len(), 1);

    bank.transfers.follows(Script::Answer);
    bank.accounts
        .follows(Script::Refuse(AccountError::Refused(Refused::Unavailable)));
    bank.notifications.follows(Script::Panic);
    let told = answer(bank.signed("GET", "/api/dashboard")).await;
    assert_eq!(told.status, StatusCode::OK);
    let body = told.json();
    let away = "The service is not available, try again later";
    assert_eq!(body["account"]["error"], away);
    assert_eq!(body["notifications"]["error"], "The service failed");
    assert_eq!(body["transactions"]["total"], 1);
}

#[tokio::test]
async fn a_session_that_one_service_refuses_is_refused() {
    let bank = bank().await;
    bank.notifications
        .follows(Script::Refuse(NotificationError::Refused(
            Refused::Unauthenticated,
        )));
    let told = answer(bank.signed("GET", "/api/dashboard")).await;
    assert_eq!(told.status, StatusCode::UNAUTHORIZED);
    assert_eq!(told.detail(), "Not authenticated");
}

#[tokio::test]
async fn if_nothing_comes_there_is_no_dashboard() {
    let bank = bank().await;
    bank.accounts.follows(Script::Panic);
    bank.transfers
        .follows(Script::Refuse(TransferError::Refused(Refused::Unavailable)));
    bank.notifications.follows(Script::Panic);
    let told = answer(bank.signed("GET", "/api/dashboard")).await;
    assert_eq!(told.status, StatusCode::BAD_GATEWAY);
}
