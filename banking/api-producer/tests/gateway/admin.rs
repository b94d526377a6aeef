//! The administrator's routes: with the secret, without it, and without any secret set.

use crate::{
    services::ID,
    started::{ADMIN_SECRET, SOON, Started, answer, bank},
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
        assert!(bank.accounts.seen().is_empty());
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
    assert!(bank.accounts.seen().is_empty());
    let patient = async {
        while ask(ADMIN_SECRET).await.status != StatusCode::OK {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, patient).await.unwrap();
    // What was wrong before is forgotten.
    for _ in 0..5 {
        assert_eq!(ask("a guess").await.status, StatusCode::FORBIDDEN);
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
    assert!(bank.accounts.seen().is_empty());
}
