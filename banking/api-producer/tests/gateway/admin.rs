//! The administrator's routes: with the secret, without it, and without any secret set.

use crate::{
    rates::client_at,
    services::{ID, Script},
    started::{ADMIN_SECRET, Answer, SOON, Started, answer, bank},
    table::seen,
};
use contracts::{
    Refused, account::AccountError, notification::NotificationError, transfer::TransferError,
};
use reqwest::StatusCode;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::sync::Barrier;

fn paths() -> [String; 5] {
    let user = format!("users/{ID}");
    [
        "stats",
        "users",
        user.as_str(),
        "transfers",
        "notifications",
    ]
    .map(|path| format!("/api/account/admin/{path}"))
}

#[tokio::test]
async fn the_secret_opens_them_and_stays_at_the_gateway() {
    let bank = bank().await;
    for path in paths() {
        let request = bank.request("GET", &path);
        let told = answer(request.header("X-Admin-Secret", ADMIN_SECRET)).await;
        assert_eq!(told.status, StatusCode::OK, "{path}: {}", told.text);
        let seen = seen(&bank);
        assert!(!seen.is_empty(), "{path}");
        for seen in seen {
            // The service itself has verified the pass.
            let names: Vec<_> = seen
                .metadata
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(names, ["pass"], "{path}");
            let travelled = format!("{seen:?}");
            assert!(!travelled.contains(ADMIN_SECRET), "{path}");
        }
    }
}

async fn ask(bank: &Started, path: &str) -> Answer {
    let request = bank.request("GET", &format!("/api/account/admin/{path}"));
    answer(request.header("X-Admin-Secret", ADMIN_SECRET)).await
}

#[tokio::test]
async fn the_totals_are_asked_of_their_owners_at_the_same_time() {
    let bank = bank().await;
    let barrier = Arc::new(Barrier::new(3));
    // Each one answers when all have been asked.
    bank.accounts.follows(Script::Meet(Arc::clone(&barrier)));
    bank.transfers.follows(Script::Meet(Arc::clone(&barrier)));
    bank.notifications.follows(Script::Meet(barrier));
    let told = ask(&bank, "stats").await;
    assert_eq!(told.status, StatusCode::OK);
    let expected = json!({
        "total_users": 1, "total_balance": 2, "total_transfers": 3,
        "total_transfer_amount": 4, "total_notifications": 5,
    });
    assert_eq!(told.json(), expected);
    let seen = seen(&bank);
    let methods: Vec<_> = seen.iter().map(|seen| seen.method.as_str()).collect();
    assert_eq!(methods, ["admin_totals", "admin_totals", "admin_total"]);
    assert_eq!(seen[0].call_id, told.correlation());
}

#[tokio::test]
async fn what_a_service_refuses_is_told_as_it_is() {
    for (refused, status) in [
        (Refused::Unauthenticated, 401),
        (Refused::Forbidden, 403),
        (Refused::Unavailable, 503),
    ] {
        let bank = bank().await;
        bank.transfers
            .follows(Script::Refuse(TransferError::Refused(refused)));
        for path in ["stats", "transfers"] {
            let told = ask(&bank, path).await;
            assert_eq!(told.status.as_u16(), status, "{path}: {}", told.text);
            assert_eq!(told.detail(), refused.to_string(), "{path}");
        }
        bank.transfers.follows(Script::Answer);
        bank.notifications
            .follows(Script::Refuse(NotificationError::Refused(refused)));
        for path in ["stats", "notifications"] {
            assert_eq!(ask(&bank, path).await.status.as_u16(), status, "{path}");
        }
        bank.notifications.follows(Script::Answer);
        bank.accounts
            .follows(Script::Refuse(AccountError::Refused(refused)));
        for path in ["stats", "users"] {
            assert_eq!(ask(&bank, path).await.status.as_u16(), status, "{path}");
        }
        // These need nothing of the account service.
        for path in ["transfers", "notifications"] {
            assert_eq!(ask(&bank, path).await.status.as_u16(), 200, "{path}");
        }
    }
}

#[tokio::test]
async fn a_part_of_the_bank_that_gives_no_answer_is_503_and_the_rest_is_there() {
    let short = |limits: &mut api_producer::Limits| {
        // Enough for those that do answer, on a machine that does much else.
        limits.admin_part = Duration::from_secs(2);
    };
    let bank = Started::with(short, true, Some(ADMIN_SECRET)).await;
    let statuses = async || {
        let mut statuses = Vec::new();
        for path in ["stats", "users", "transfers", "notifications"] {
            let told = ask(&bank, path).await;
            if told.status != StatusCode::OK {
                let away = "The service is not available, try again later";
                assert_eq!(told.detail(), away, "{path}");
                assert_eq!(told.header("retry-after"), Some("1"), "{path}");
            }
            statuses.push(told.status.as_u16());
        }
        statuses
    };
    for silence in [Script::NeverAnswer, Script::Panic] {
        bank.transfers.follows(silence);
        assert_eq!(statuses().await, [503, 200, 503, 200]);
    }
    bank.transfers.follows(Script::Answer);
    for silence in [Script::NeverAnswer, Script::Panic] {
        bank.notifications.follows(silence);
        assert_eq!(statuses().await, [503, 200, 200, 503]);
    }
    bank.notifications.follows(Script::Answer);
    assert_eq!(statuses().await, [200; 4]);
}

#[tokio::test]
async fn without_the_right_secret_they_are_403() {
    let longer = format!("{ADMIN_SECRET}!");
    let shorter = &ADMIN_SECRET[..ADMIN_SECRET.len() - 1];
    for path in paths()
        .iter()
        .map(String::as_str)
        .chain(["/api/account/admin/users?page=0"])
    {
        let bank = bank().await;
        // A session does not help.
        let told = answer(bank.signed("GET", path)).await;
        assert_eq!(
            (told.status, told.detail()),
            (StatusCode::FORBIDDEN, "Forbidden".into())
        );
        for wrong in ["", "wrong", shorter, longer.as_str(), "OPEN-SESAME-NOW!"] {
            let request = bank.signed("GET", path).header("X-Admin-Secret", wrong);
            assert_eq!(
                answer(request).await.status,
                StatusCode::FORBIDDEN,
                "{path} {wrong}"
            );
        }
        let bearer = bank.request("GET", path).bearer_auth(ADMIN_SECRET);
        assert_eq!(answer(bearer).await.status, StatusCode::FORBIDDEN, "{path}");
        assert!(seen(&bank).is_empty());
    }
}

#[tokio::test]
async fn who_guesses_the_secret_is_slowed_down_and_who_knows_it_gets_through() {
    let bank = bank().await;
    let ask = async |secret: &str| {
        let request = bank.request("GET", "/api/account/admin/stats");
        answer(request.header("X-Admin-Secret", secret)).await
    };
    // As many at once as one after the other.
    let guesses = (0..64).map(|_| ask("a guess"));
    let mut told = futures_util::future::join_all(guesses).await;
    let looked_at = told
        .iter()
        .filter(|told| told.status == StatusCode::FORBIDDEN);
    let looked_at = looked_at.count();
    assert!((5..10).contains(&looked_at), "{looked_at}");
    told.retain(|told| told.status != StatusCode::FORBIDDEN);
    for told in told {
        assert_eq!(told.status, StatusCode::TOO_MANY_REQUESTS);
        let seconds: u32 = told.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=4).contains(&seconds), "{seconds}");
    }
    assert!(seen(&bank).is_empty());
    let patient = async {
        while ask(ADMIN_SECRET).await.status != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, patient).await.unwrap();
    // What was wrong before is forgotten.
    for _ in 0..5 {
        assert_eq!(ask("a guess").await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_stranger_who_guesses_the_secret_keeps_nobody_else_out() {
    let bank = bank().await;
    let ask = async |address: &str, secret: &str| {
        let url = format!("http://{}/api/account/admin/stats", bank.address);
        let request = client_at(address).get(url);
        answer(request.header("X-Admin-Secret", secret))
            .await
            .status
    };
    for stranger in ["127.0.0.2", "127.0.0.3"] {
        let mut guesses = 0;
        while ask(stranger, "a guess").await != StatusCode::TOO_MANY_REQUESTS {
            guesses += 1;
            assert!(guesses < 50, "{stranger} guesses and guesses");
        }
        // While the stranger has to wait.
        assert_eq!(ask("127.0.0.4", ADMIN_SECRET).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn without_a_secret_set_no_secret_is_right() {
    let bank = Started::with(|_| {}, true, None).await;
    for path in paths() {
        for guess in ["", ADMIN_SECRET, "none", "null"] {
            let request = bank.request("GET", &path).header("X-Admin-Secret", guess);
            assert_eq!(
                answer(request).await.status,
                StatusCode::FORBIDDEN,
                "{path}"
            );
        }
    }
    assert!(seen(&bank).is_empty());
}
