//! What the gateway says of itself, and the headers of all it says.

use crate::started::{answer, bank};
use api_producer::{HttpSettings, start};
use live_feed::Feed;
use reqwest::StatusCode;
use serde_json::json;
use std::{net::SocketAddr, time::Duration};

#[tokio::test]
async fn it_tells_how_it_is() {
    let bank = bank().await;
    let told = answer(bank.request("GET", "/health")).await;
    assert_eq!(told.status, StatusCode::OK);
    let told = told.json();
    for (part, expected) in [
        ("status", json!("healthy")),
        ("service", json!("api-producer")),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("broker", json!("up")),
        ("replies", json!("up")),
        ("not_consumed", json!([])),
        ("dead_letters_full", json!([])),
    ] {
        assert_eq!(told[part], expected, "{part}");
    }
    assert!(told["timestamp"].as_str().unwrap().ends_with('Z'), "{told}");
    assert!(told["uptime"].as_f64().unwrap() >= 0.0, "{told}");
    let memory = &told["memory"];
    let used = memory["used"].as_u64().unwrap();
    assert!(
        used > 0 && used <= memory["total"].as_u64().unwrap(),
        "{told}"
    );
    for share in [&memory["percentage"], &told["cpu"]["usage"]] {
        assert!((0.0..=100.0).contains(&share.as_f64().unwrap()), "{told}");
    }
    let info = answer(bank.request("GET", "/info")).await;
    assert_eq!(info.status, StatusCode::OK);
    assert_eq!(info.json()["service"], "api-producer");
    assert!(info.json()["started_at"].is_string());
}

#[tokio::test]
async fn without_a_bus_it_is_unhealthy() {
    let bank = bank().await;
    bank.platform.bus.close(Duration::from_secs(1)).await;
    let told = answer(bank.request("GET", "/health")).await;
    assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(told.json()["status"], "unhealthy");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_what_a_client_makes_up() {
    let bank = bank().await;
    // The first look begins to count.
    let first = answer(bank.request("GET", "/metrics")).await;
    assert_eq!(
        first.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let id = crate::services::ID;
    let path = format!("/api/account/admin/users/{id}?secret=hunter2");
    answer(bank.allowed("GET", &path)).await;
    answer(bank.allowed("FROBNICATE", "/made/up")).await;
    let counted = answer(bank.request("GET", "/metrics")).await.text;
    let line = |parts: &[&str]| {
        counted
            .lines()
            .any(|line| parts.iter().all(|part| line.contains(part)))
    };
    let route = "route=\"/api/account/admin/users/{id}\"";
    assert!(
        line(&[
            "http_requests_total",
            "method=\"GET\"",
            route,
            "endpoint=\"/api/account/admin/users/{id}\"",
            "status=\"200\""
        ]),
        "{counted}"
    );
    assert!(
        line(&["http_request_duration_seconds_bucket", route]),
        "{counted}"
    );
    // The calls that it made for them, too.
    let call = "method=\"admin_user\"";
    assert!(
        line(&["replybus_calls_total", call, "outcome=\"ok\""]),
        "{counted}"
    );
    assert!(line(&["replybus_call_seconds_bucket", call]), "{counted}");
    let unmatched = ["method=\"other\"", "route=\"unmatched\"", "status=\"404\""];
    assert!(line(&unmatched), "{counted}");
    for made_up in [id, "hunter2", "FROBNICATE", "/made/up", "a.b.c"] {
        assert!(!counted.contains(made_up), "{made_up}");
    }
}

#[tokio::test]
async fn metrics_can_be_kept_from_the_public() {
    let bank = bank().await;
    let mut settings = HttpSettings::at("127.0.0.1:0".parse().unwrap());
    settings.public_metrics = false;
    let feed = Feed::open(&bank.platform).unwrap();
    let (running, address) = start(&bank.platform, &settings, &feed).await.unwrap();
    let ask = async |address: SocketAddr| {
        let told = reqwest::get(format!("http://{address}/metrics")).await;
        told.unwrap().status()
    };
    assert_eq!(ask(bank.address).await, StatusCode::OK);
    assert_eq!(ask(address).await, StatusCode::NOT_FOUND);
    running.stop().await;
}

#[tokio::test]
async fn every_answer_is_protected_in_a_browser() {
    let bank = bank().await;
    for path in [
        "/",
        "/nowhere",
        "/api/account/me",
        "/openapi.json",
        "/health",
    ] {
        let told = answer(bank.request("GET", path)).await;
        assert_eq!(
            told.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            told.header("referrer-policy"),
            Some("no-referrer"),
            "{path}"
        );
        assert_eq!(told.header("x-frame-options"), Some("DENY"), "{path}");
        let policy = told.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(
            told.headers
                .get_all("content-security-policy")
                .iter()
                .count(),
            1
        );
        // Who may call it from elsewhere is said by what stands in front.
        assert_eq!(told.header("access-control-allow-origin"), None);
        if path != "/" {
            assert_eq!(told.header("cache-control"), Some("no-store"), "{path}");
        }
    }
}
