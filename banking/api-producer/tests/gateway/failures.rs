//! What a client is told when a service refuses, fails, is late, or is not there.

use crate::{
    services::{FakeAccounts, Script},
    started::{Answer, Started, answer, bank},
};
use contracts::{
    Refused,
    account::{AccountError, AccountsServer},
    auth::AuthError,
    notification::NotificationError,
    transfer::TransferError,
};
use reqwest::StatusCode;
use serde_json::json;
use std::{sync::Arc, time::Duration};

async fn register(bank: &Started) -> Answer {
    let who = json!({ "username": "eve", "password": "pa55 word" });
    answer(bank.request("POST", "/api/auth/register").json(&who)).await
}

async fn deposit(bank: &Started) -> Answer {
    let body = json!({ "amount": 5 });
    answer(bank.signed("POST", "/api/account/deposit").json(&body)).await
}

async fn transfer(bank: &Started) -> Answer {
    let body = json!({ "to_username": "bob", "amount": 5 });
    let request = bank.signed("POST", "/api/transfer/transfer").json(&body);
    answer(request.header("Idempotency-Key", "mine")).await
}

async fn list(bank: &Started) -> Answer {
    answer(bank.signed("GET", "/api/notifications/notifications")).await
}

fn assert_told(told: &Answer, status: u16, detail: &str) {
    assert_eq!(told.status.as_u16(), status, "{}", told.text);
    assert_eq!(told.detail(), detail);
    let retry_after = (status == 503).then_some("1");
    assert_eq!(told.header("retry-after"), retry_after, "{detail}");
    let challenge = (status == 401).then_some("Bearer realm=\"bank\"");
    assert_eq!(told.header("www-authenticate"), challenge, "{detail}");
}

const IN_USE: &str = "Idempotency-Key was already used for another request";
const REFUSED: [(Refused, u16, &str); 3] = [
    (Refused::Unauthenticated, 401, "Not authenticated"),
    (Refused::Forbidden, 403, "Forbidden"),
    (
        Refused::Unavailable,
        503,
        "The service is not available, try again later",
    ),
];

#[tokio::test]
async fn the_auth_services_errors() {
    let bank = bank().await;
    let invalid = AuthError::Invalid {
        field: "username".into(),
        allowed: "3 to 32 letters".into(),
    };
    let busy = AuthError::Busy.to_string();
    let mut errors = vec![
        (AuthError::UsernameTaken, 409, "Username already taken"),
        (AuthError::PhoneTaken, 409, "Phone already registered"),
        (invalid, 400, "username: 3 to 32 letters"),
        (AuthError::InvalidCredentials, 401, "Invalid credentials"),
        (AuthError::Busy, 503, busy.as_str()),
    ];
    errors.extend(REFUSED.map(|(refused, status, detail)| (refused.into(), status, detail)));
    for (error, status, detail) in errors {
        bank.auth.follows(Script::Refuse(error));
        assert_told(&register(&bank).await, status, detail);
    }
    let guesses = AuthError::TooManyGuesses { retry_after: 16 };
    let detail = guesses.to_string();
    bank.auth.follows(Script::Refuse(guesses));
    let told = register(&bank).await;
    assert_eq!((told.status.as_u16(), told.detail()), (429, detail));
    assert_eq!(told.header("retry-after"), Some("16"));
}

#[tokio::test]
async fn the_account_services_errors() {
    let bank = bank().await;
    let mut errors = vec![
        (
            AccountError::InsufficientBalance,
            400,
            "Insufficient balance",
        ),
        (
            AccountError::BalanceTooLarge,
            400,
            "The balance would be too large",
        ),
        (
            AccountError::NotFound("Account".into()),
            404,
            "Account not found",
        ),
        (AccountError::KeyConflict, 409, IN_USE),
    ];
    errors.extend(REFUSED.map(|(refused, status, detail)| (refused.into(), status, detail)));
    for (error, status, detail) in errors {
        bank.accounts.follows(Script::Refuse(error));
        assert_told(&deposit(&bank).await, status, detail);
    }
}

#[tokio::test]
async fn the_transfer_services_errors_come_with_their_key() {
    let bank = bank().await;
    let pending = "The transfer is being processed; ask again with the same Idempotency-Key";
    let too_large = "The recipient's balance would be too large";
    let mut errors = vec![
        (
            TransferError::InsufficientBalance,
            400,
            "Insufficient balance",
        ),
        (TransferError::BalanceTooLarge, 400, too_large),
        (
            TransferError::ToYourself,
            400,
            "Cannot transfer to yourself",
        ),
        (TransferError::UnknownRecipient, 404, "Recipient not found"),
        (TransferError::KeyConflict, 409, IN_USE),
        (TransferError::Pending, 504, pending),
    ];
    errors.extend(REFUSED.map(|(refused, status, detail)| (refused.into(), status, detail)));
    for (error, status, detail) in errors {
        bank.transfers.follows(Script::Refuse(error));
        let told = transfer(&bank).await;
        assert_told(&told, status, detail);
        assert_eq!(told.header("idempotency-key"), Some("mine"));
    }
}

#[tokio::test]
async fn the_notification_services_errors() {
    let bank = bank().await;
    let too_many = NotificationError::TooMany(100);
    let mut errors = vec![(too_many, 400, "ids: at most 100 are allowed")];
    errors.extend(REFUSED.map(|(refused, status, detail)| (refused.into(), status, detail)));
    for (error, status, detail) in errors {
        bank.notifications.follows(Script::Refuse(error));
        assert_told(&list(&bank).await, status, detail);
    }
}

#[tokio::test]
async fn without_a_session_no_service_is_asked() {
    let bank = bank().await;
    for (method, path) in [
        ("POST", "/api/auth/logout"),
        ("GET", "/api/account/me"),
        ("GET", "/api/account/balance"),
        ("GET", "/api/account/lookup"),
        ("GET", "/api/account/statement?page=0"),
        ("POST", "/api/account/deposit"),
        ("POST", "/api/account/withdraw"),
        ("POST", "/api/transfer/transfer"),
        ("GET", "/api/transfer/transactions"),
        ("GET", "/api/notifications/notifications"),
        ("POST", "/api/notifications/read"),
        ("GET", "/api/dashboard"),
    ] {
        let told = answer(bank.request(method, path)).await;
        assert_told(&told, 401, "Not authenticated");
        let empty = bank.request(method, path).header("X-Session", "");
        assert_told(&answer(empty).await, 401, "Not authenticated");
    }
    assert!(crate::table::seen(&bank).is_empty());
}

#[tokio::test]
async fn a_service_that_does_not_answer_in_time_is_504() {
    let short = |limits: &mut api_producer::Limits| {
        // Enough to be asked in, on a machine that does much else.
        limits.request = Duration::from_secs(2);
        limits.health = Duration::from_millis(200);
    };
    let bank = Started::with(short, true, None).await;
    bank.accounts.follows(Script::NeverAnswer);
    let told = deposit(&bank).await;
    assert_eq!(told.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(
        told.detail().contains("same Idempotency-Key"),
        "{}",
        told.text
    );
    assert!(told.header("idempotency-key").is_some());
    // It was asked, and goes on: what it does is found under the key.
    assert_eq!(bank.accounts.seen().len(), 1);
    let told = answer(bank.signed("GET", "/api/account/me")).await;
    assert_eq!(told.status, StatusCode::GATEWAY_TIMEOUT);

    // Of its health it is as good as away.
    let told = answer(bank.request("GET", "/api/account/health")).await;
    assert_told(&told, 503, "The service is not available, try again later");
}

#[tokio::test]
async fn a_service_that_was_never_there_is_503() {
    let bank = Started::with(|_| {}, false, None).await;
    let away = "The service is not available, try again later";
    assert_told(&register(&bank).await, 503, away);
    assert_told(&deposit(&bank).await, 503, away);
    assert_told(&transfer(&bank).await, 503, away);
    assert_told(&list(&bank).await, 503, away);
    assert_told(
        &answer(bank.signed("GET", "/api/dashboard")).await,
        503,
        away,
    );
    for part in ["auth", "account", "transfer", "notifications"] {
        let told = answer(bank.request("GET", &format!("/api/{part}/health"))).await;
        assert_told(&told, 503, away);
    }
}

#[tokio::test]
async fn a_service_that_is_no_longer_there_is_503_though_its_queue_waits_for_it() {
    let short = |limits: &mut api_producer::Limits| {
        limits.request = Duration::from_millis(200);
    };
    let mut bank = Started::with(short, true, None).await;
    std::mem::take(&mut bank.services).stop().await;
    let away = "The service is not available, try again later";
    assert_told(&register(&bank).await, 503, away);
    assert_told(&deposit(&bank).await, 503, away);
    assert_told(&transfer(&bank).await, 503, away);
    assert_told(&list(&bank).await, 503, away);
}

#[tokio::test]
async fn a_bus_that_is_closed_is_503_and_the_gateway_says_so_of_itself() {
    let bank = bank().await;
    assert_eq!(
        answer(bank.request("GET", "/health")).await.status,
        StatusCode::OK
    );
    bank.platform.bus.close(Duration::from_secs(1)).await;
    let away = "The service is not available, try again later";
    assert_told(&deposit(&bank).await, 503, away);
}

#[tokio::test]
async fn a_service_that_panics_is_502_without_its_words() {
    let bank = bank().await;
    bank.accounts.follows(Script::Panic);
    assert_told(&deposit(&bank).await, 502, "The service failed");
}

#[tokio::test]
async fn who_answers_in_place_of_a_service_is_not_believed() {
    let bank = Started::with(|_| {}, false, None).await;
    // By the key of another program of the bank, which the bus has.
    let stranger = AccountsServer::new(FakeAccounts(Arc::clone(&bank.accounts)));
    let serving = bank.platform.bus.serve(stranger).await.unwrap();
    assert_told(&deposit(&bank).await, 502, "The service failed");
    assert_eq!(bank.accounts.seen().len(), 1);
    serving.shutdown().await.unwrap();

    let own = AccountsServer::new(FakeAccounts(Arc::clone(&bank.accounts)));
    let serving = bank.platform.serve_anybody(own).unwrap().await.unwrap();
    assert_eq!(deposit(&bank).await.status, StatusCode::OK);
    serving.shutdown().await.unwrap();
}
