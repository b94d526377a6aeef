//! Who is believed.

use super::expect::{customer, refused};
use serde_json::{Value, json};
use town::{Bank, Client, Request};

/// Every route that is a user's own.
fn routes(client: &Client) -> Vec<(&'static str, Request)> {
    let get = |path| (path, client.get(path));
    let post = |path, body: Value| (path, client.post(path).json(&body));
    let transfer = json!({ "to_username": "somebody", "amount": 1 });
    vec![
        post("/api/auth/logout", json!({})),
        get("/api/account/me"),
        get("/api/account/balance"),
        get("/api/account/lookup?account_number=400012345675"),
        post("/api/account/deposit", json!({ "amount": 1 })),
        post("/api/account/withdraw", json!({ "amount": 1 })),
        get("/api/account/statement"),
        post("/api/account/statements", json!({ "month": "2026-01" })),
        get("/api/account/statements"),
        get("/api/account/statements/0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"),
        get("/api/account/statements/0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b/entries.csv"),
        post(
            "/api/account/statements/0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b/cancel",
            json!({}),
        ),
        post("/api/transfer/transfer", transfer),
        post(
            "/api/transfer/standing-orders",
            json!({
                "to_username": "somebody", "amount": 1, "every": "day",
                "first_at": "2026-01-01T00:00:00Z",
            }),
        ),
        get("/api/transfer/standing-orders"),
        post(
            "/api/transfer/standing-orders/0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b/cancel",
            json!({}),
        ),
        get("/api/transfer/transactions"),
        get("/api/notifications/notifications"),
        post("/api/notifications/read", json!({})),
        get("/api/dashboard"),
    ]
}

pub(crate) async fn no_route_of_a_user_answers_without_a_session(bank: &Bank) {
    for (path, ask) in routes(bank.client()) {
        let answer = ask.send().await.unwrap();
        assert_eq!(answer.status, 401, "{path}: {}", answer.text);
        refused(&answer, 401, "Not authenticated");
        assert!(!answer.header("www-authenticate").is_empty());
    }
}

pub(crate) async fn no_route_of_a_user_takes_a_forged_session(bank: &Bank) {
    let (ada, eve) = (customer(bank, "ada").await, customer(bank, "eve").await);
    let [head, claims, signature] = parts(&ada.session);
    let [_, eves_claims, eves_signature] = parts(&eve.session);
    // {"alg":"none","typ":"at+jwt"}
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0";
    for forged in [
        format!("{head}.{claims}.{eves_signature}"),
        format!("{head}.{eves_claims}.{signature}"),
        format!("{unsigned}.{claims}."),
        format!("{head}.{claims}."),
        format!("{head}.{claims}"),
        ada.username.clone(),
        ada.id.clone(),
        "null".to_owned(),
    ] {
        for (path, ask) in routes(bank.client()) {
            let answer = ask.session(&forged).send().await.unwrap();
            assert_eq!(answer.status, 401, "{path} with {forged}: {}", answer.text);
            refused(&answer, 401, "Not authenticated");
        }
    }
    assert_eq!(ada.balance().await.unwrap(), 100_000);
}

pub(crate) async fn a_session_travels_as_a_bearer_token_too(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let bearer = format!("Bearer {}", ada.session);
    let ask = bank.client().get("/api/account/me");
    let me = ask.header("Authorization", &bearer).ok().await.unwrap();
    assert_eq!(me["id"], json!(ada.id));
}

fn parts(token: &str) -> [&str; 3] {
    let parts: Vec<_> = token.split('.').collect();
    parts.try_into().unwrap()
}
