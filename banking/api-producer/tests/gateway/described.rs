//! `/openapi.json` against what is served.

use crate::{
    services::ID,
    started::{answer, bank},
};
use reqwest::StatusCode;
use serde_json::Value;
use std::collections::BTreeSet;

/// The routes that clients know.
const ROUTES: [&str; 52] = [
    "post /api/auth/register",
    "post /api/auth/login",
    "post /api/auth/password",
    "post /api/auth/logout",
    "get /api/account/me",
    "get /api/account/balance",
    "get /api/account/lookup",
    "post /api/account/deposit",
    "post /api/account/withdraw",
    "get /api/account/statement",
    "get /api/account/statement.csv",
    "post /api/account/statements",
    "get /api/account/statements",
    "get /api/account/statements/{id}",
    "post /api/account/statements/{id}/cancel",
    "get /api/account/statements/{id}/entries.csv",
    "get /api/account/admin/stats",
    "get /api/account/admin/users",
    "get /api/account/admin/users/{id}",
    "get /api/account/admin/transfers",
    "get /api/account/admin/notifications",
    "post /api/transfer/transfer",
    "get /api/transfer/transactions",
    "post /api/transfer/standing-orders",
    "get /api/transfer/standing-orders",
    "post /api/transfer/standing-orders/{id}/cancel",
    "get /api/notifications/notifications",
    "post /api/notifications/read",
    "get /api/transactions",
    "post /api/transactions",
    "get /api/notifications",
    "get /api/dashboard",
    "get /api/auth/health",
    "get /api/account/health",
    "get /api/transfer/health",
    "get /api/notifications/health",
    "get /health",
    "get /info",
    "get /services/status",
    "get /services/status/live",
    "get /circuit-breakers",
    "post /circuit-breakers/reset",
    "get /dead-letters",
    "post /dead-letters/redrive",
    "post /dead-letters/purge",
    "get /delayed-messages",
    "get /jobs",
    "post /jobs/cancel",
    "get /metrics",
    "get /openapi.json",
    "get /ws",
    "get /",
];

async fn described() -> (Value, crate::started::Started) {
    let bank = bank().await;
    let told = answer(bank.request("GET", "/openapi.json")).await;
    assert_eq!(told.status, StatusCode::OK);
    assert_eq!(told.header("content-type"), Some("application/json"));
    (told.json(), bank)
}

fn operations(api: &Value) -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((method.clone(), path.clone(), operation.clone()));
        }
    }
    operations
}

#[tokio::test]
async fn it_names_the_routes_that_clients_know_and_no_others() {
    let (api, _) = described().await;
    let operations = operations(&api);
    let described: BTreeSet<_> = operations
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    // The page and the description itself are not part of the API.
    let known: BTreeSet<_> = ROUTES
        .iter()
        .filter(|route| !["get /", "get /openapi.json"].contains(route))
        .map(|route| (*route).to_owned())
        .collect();
    assert_eq!(described, known);
}

#[tokio::test]
async fn every_route_that_it_names_is_served() {
    let (api, bank) = described().await;
    for (method, path, operation) in operations(&api) {
        let path = path.replace("{id}", ID);
        let told = answer(bank.allowed(&method.to_uppercase(), &path)).await;
        let served =
            ![StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&told.status);
        assert!(served, "{method} {path}: {}", told.status);
        let statuses = operation["responses"].as_object().unwrap();
        // A plain request for a WebSocket is another protocol's error.
        let expected = path == "/ws" || statuses.contains_key(told.status.as_str());
        assert!(
            expected,
            "{method} {path} answers {}, not described",
            told.status
        );
    }
}

#[tokio::test]
async fn what_is_bounded_for_each_client_says_so() {
    let (api, _) = described().await;
    for (path, method) in [
        ("/api/auth/register", "post"),
        ("/api/auth/login", "post"),
        ("/api/auth/password", "post"),
        ("/api/account/lookup", "get"),
        ("/api/transfer/transfer", "post"),
        ("/api/transfer/standing-orders", "post"),
    ] {
        let about = &api["paths"][path][method]["responses"]["429"]["description"];
        let about = about.as_str().unwrap();
        assert!(about.contains("requests of one address"), "{path}: {about}");
        assert!(about.contains("Retry-After"), "{path}: {about}");
    }
}

#[tokio::test]
async fn every_schema_that_it_names_is_there() {
    let (api, _) = described().await;
    let text = api.to_string();
    let schemas = api["components"]["schemas"].as_object().unwrap();
    let mut names = 0;
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
        names += 1;
    }
    assert!(names > 0);
    let schemes = api["components"]["securitySchemes"].as_object().unwrap();
    for (method, path, operation) in operations(&api) {
        for requirement in operation["security"].as_array().into_iter().flatten() {
            for name in requirement.as_object().unwrap().keys() {
                assert!(schemes.contains_key(name), "{method} {path}: {name}");
            }
        }
    }
}

#[tokio::test]
async fn what_it_says_of_security_is_so() {
    let (api, bank) = described().await;
    for (method, path, operation) in operations(&api) {
        let path = path.replace("{id}", ID);
        let told = answer(bank.request(&method.to_uppercase(), &path)).await;
        let needs = operation["security"].to_string();
        let refused = told.status.as_u16();
        if needs.contains("session") {
            assert_eq!(refused, 401, "{method} {path}");
        } else if needs.contains("admin") {
            assert_eq!(refused, 403, "{method} {path}");
        } else {
            assert!(![401, 403].contains(&refused), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn required_fields_are_the_ones_that_are_asked_for() {
    let (api, bank) = described().await;
    let mut bodies = 0;
    for (method, path, operation) in operations(&api) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let Some(name) = schema.as_str().and_then(|name| name.split('/').next_back()) else {
            continue;
        };
        bodies += 1;
        let schema = &api["components"]["schemas"][name];
        for field in schema["required"].as_array().into_iter().flatten() {
            let field = field.as_str().unwrap();
            let mut body = serde_json::json!({
                "username": "eve", "password": "pa55 word", "to_username": "bob", "amount": 5,
                "current_password": "pa55 word", "new_password": "another one",
                "type": "deposit", "month": "2026-01", "every": "month",
                "first_at": "2026-01-01T00:00:00Z", "queue": "auth.requests", "all": true,
                "id": "019ac3f2-7c11-7d5e-9a4b-52f0c4a7e9d1",
            });
            body.as_object_mut().unwrap().remove(field).unwrap();
            let request = bank.allowed(&method.to_uppercase(), &path).json(&body);
            let detail = answer(request).await.detail();
            assert!(detail.contains(field), "{path} without {field}: {detail}");
        }
    }
    assert_eq!(bodies, 14);
}
