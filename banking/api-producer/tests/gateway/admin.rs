//! The administrator's routes: with the secret, without it, and without any secret set.

use crate::{
    services::ID,
    started::{ADMIN_SECRET, Started, answer, bank},
};
use reqwest::StatusCode;

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
        // The service itself has verified the pass.
        let seen = bank.accounts.seen();
        let names: Vec<_> = seen[0]
            .metadata
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["pass"], "{path}");
        let travelled = format!("{:?}", seen[0]);
        assert!(!travelled.contains(ADMIN_SECRET), "{path}");
    }
}

#[tokio::test]
async fn without_the_right_secret_they_are_403() {
    let bank = bank().await;
    let longer = format!("{ADMIN_SECRET}!");
    let shorter = &ADMIN_SECRET[..ADMIN_SECRET.len() - 1];
    for path in paths()
        .iter()
        .map(String::as_str)
        .chain(["/api/account/admin/users?page=0"])
    {
        // A session does not help.
        let told = answer(bank.signed("GET", path)).await;
        assert_eq!(
            (told.status, told.detail()),
            (StatusCode::FORBIDDEN, "Forbidden".into())
        );
        for wrong in ["", "wrong", shorter, longer.as_str(), "OPEN-SESAME"] {
            let request = bank.signed("GET", path).header("X-Admin-Secret", wrong);
            assert_eq!(
                answer(request).await.status,
                StatusCode::FORBIDDEN,
                "{path} {wrong}"
            );
        }
        let bearer = bank.request("GET", path).bearer_auth(ADMIN_SECRET);
        assert_eq!(answer(bearer).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert!(bank.accounts.seen().is_empty());
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
    assert!(bank.accounts.seen().is_empty());
}
