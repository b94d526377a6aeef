//! The gateway's own, and what all routes have in common.

use super::expect::{customer, names, ok, refused};
use serde_json::{Value, json};
use std::collections::HashSet;
use town::{Bank, Service, wait::eventually};
use uuid::Uuid;

pub(crate) async fn the_gateway_and_every_service_say_that_they_are_up(bank: &Bank) {
    for service in Service::ALL {
        let health = bank.client().get(service.health()).ok().await.unwrap();
        let well = match service {
            Service::Gateway => "healthy",
            _ => "up",
        };
        assert_eq!(health["status"], json!(well));
        assert_eq!(health["service"], json!(service.name()));
        if service != Service::Gateway {
            let parts = ["database", "redis"].map(|part| &health[part]);
            assert_eq!(parts, [&json!("up"), &json!("up")]);
        }
    }
}

pub(crate) async fn metrics_are_counted(bank: &Bank) {
    let answer = bank.client().get("/metrics").send().await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/plain"));
    let counted = answer.text.lines().any(|line| line.starts_with("# TYPE "));
    assert!(counted, "{}", answer.text);
}

pub(crate) async fn the_page_is_there(bank: &Bank) {
    let answer = bank.client().get("/").send().await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/html"));
    assert!(answer.text.contains("</html>"));
}

pub(crate) async fn every_route_is_described(bank: &Bank) {
    let api = bank.client().get("/openapi.json").ok().await.unwrap();
    assert!(api["openapi"].as_str().unwrap().starts_with("3."));
    for (method, path) in [
        ("post", "/api/auth/register"),
        ("post", "/api/auth/login"),
        ("post", "/api/auth/password"),
        ("post", "/api/auth/logout"),
        ("get", "/api/account/me"),
        ("get", "/api/account/balance"),
        ("get", "/api/account/lookup"),
        ("post", "/api/account/deposit"),
        ("post", "/api/account/withdraw"),
        ("get", "/api/account/statement"),
        ("get", "/api/account/statement.csv"),
        ("get", "/api/account/admin/stats"),
        ("get", "/api/account/admin/users"),
        ("get", "/api/account/admin/users/{id}"),
        ("get", "/api/account/admin/transfers"),
        ("get", "/api/account/admin/notifications"),
        ("post", "/api/transfer/transfer"),
        ("get", "/api/transfer/transactions"),
        ("get", "/api/notifications/notifications"),
        ("get", "/api/transactions"),
        ("post", "/api/transactions"),
        ("get", "/api/notifications"),
        ("get", "/api/dashboard"),
        ("get", "/api/auth/health"),
        ("get", "/api/account/health"),
        ("get", "/api/transfer/health"),
        ("get", "/api/notifications/health"),
        ("get", "/health"),
        ("get", "/metrics"),
        ("get", "/ws"),
    ] {
        let described = &api["paths"][path][method]["responses"];
        assert!(described.is_object(), "{method} {path}");
    }
    assert_eq!(dangling(&api, &api), Vec::<String>::new());
}

/// References in a description that lead nowhere.
fn dangling(part: &Value, api: &Value) -> Vec<String> {
    match part {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value.as_str() {
                Some(to) if name == "$ref" && api.pointer(to.trim_start_matches('#')).is_none() => {
                    vec![to.to_owned()]
                }
                _ => dangling(value, api),
            })
            .collect(),
        Value::Array(values) => values
            .iter()
            .flat_map(|value| dangling(value, api))
            .collect(),
        _ => Vec::new(),
    }
}

pub(crate) async fn every_answer_carries_the_id_of_its_call(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let mut ids = HashSet::new();
    for (path, status) in [
        ("/api/account/me", 200),
        ("/api/account/me", 200),
        ("/api/account/lookup?account_number=99999999999999", 404),
        ("/api/account/lookup", 400),
        ("/nowhere", 404),
        ("/health", 200),
        ("/openapi.json", 200),
    ] {
        let answer = ada.get(path).send().await.unwrap();
        assert_eq!(answer.status, status, "{path}");
        let id = Uuid::parse_str(answer.header("x-correlation-id"));
        assert!(ids.insert(id.unwrap()), "{path}");
    }
}

pub(crate) async fn what_is_not_there_says_so_in_json(bank: &Bank) {
    for path in [
        "/nowhere",
        "/api",
        "/api/account/nothing",
        "/api/account/me/",
        "/.env",
    ] {
        let answer = bank.client().get(path).send().await.unwrap();
        refused(&answer, 404, answer.detail());
        assert!(!answer.detail().is_empty(), "{path}");
    }
    for answer in [
        bank.client()
            .get("/api/transfer/transfer")
            .send()
            .await
            .unwrap(),
        bank.client().post("/api/account/me").send().await.unwrap(),
    ] {
        refused(&answer, 405, answer.detail());
        assert!(!answer.detail().is_empty());
    }
}

pub(crate) async fn a_body_that_is_no_object_is_refused(bank: &Bank) {
    for body in [
        "{",
        "nothing",
        "[]",
        "\"text\"",
        "7",
        "null",
        "{\"username\":\"a\",}",
        "\u{0}",
    ] {
        let ask = bank.client().post("/api/auth/login").body(body);
        names(&ask.send().await.unwrap(), 400, "body");
    }
    let ask = bank.client().post("/api/auth/login").body("");
    names(&ask.send().await.unwrap(), 400, "username");
}

pub(crate) async fn a_body_over_the_limit_is_413(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let body = json!({ "amount": 5, "note": "x".repeat(1 << 20) });
    let answer = ada
        .post("/api/account/deposit")
        .json(&body)
        .send()
        .await
        .unwrap();
    refused(&answer, 413, answer.detail());
    assert!(!answer.detail().is_empty());
    assert_eq!(ada.balance().await.unwrap(), 100_000);
}

pub(crate) async fn unknown_fields_are_ignored(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let body = json!({ "amount": 5, "balance": 1_000_000, "user_id": Uuid::new_v4(), "x": [{}] });
    let paid_in = ada
        .post("/api/account/deposit")
        .json(&body)
        .ok()
        .await
        .unwrap();
    assert_eq!(paid_in, json!({ "balance": 100_005 }));
}

pub(crate) async fn the_dashboard_joins_three_services(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    ada.transfer(&bob, 40, "key").ok().await.unwrap();
    let dashboard = eventually("bob is told", async || {
        let dashboard = ok(bob.get("/api/dashboard").send().await.unwrap());
        let told = dashboard["notifications"].as_array().unwrap().len();
        (told == 1).then_some(dashboard)
    })
    .await;
    assert_eq!(dashboard["account"]["balance"], json!(100_040));
    assert_eq!(dashboard["transactions"]["items"][0]["amount"], json!(40));
    let message = format!("You received 0.40 from {}", ada.username);
    assert_eq!(dashboard["notifications"][0]["message"], json!(message));
}
