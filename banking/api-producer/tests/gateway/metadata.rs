//! What travels to the services is the session, and nothing else that a client sends.

use crate::{
    started::{answer, bank},
    table::seen,
};
use serde_json::json;

#[tokio::test]
async fn a_client_can_not_make_metadata_up() {
    let bank = bank().await;
    let (admin, service) = (
        bank.platform
            .identity
            .of_program("api-producer")
            .admin_pass(),
        bank.platform
            .identity
            .of_program("auth-service")
            .service_pass(),
    );
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let smuggled = [
        (admin.0, admin.1.as_str()),
        ("x-pass", service.1.as_str()),
        ("metadata", "pass=x"),
        ("session", "another"),
        ("deadline", "0"),
        ("reply-to", "elsewhere"),
        ("x-deadline", "0"),
        ("traceparent", trace),
        ("tracestate", "vendor=x"),
        ("app_id", "transfer-service"),
        ("x-correlation-id", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"),
    ];
    let paths = [
        ("GET", "/api/account/me"),
        ("POST", "/api/account/deposit"),
        ("GET", "/api/dashboard"),
        ("GET", "/api/account/health"),
    ];
    for (method, path) in paths {
        let mut request = bank
            .signed(method, path)
            .json(&json!({ "amount": 5, "pass": "x" }));
        for (name, value) in smuggled {
            request = request.header(name, value);
        }
        let told = answer(request).await;
        assert!(told.status.is_success(), "{path}: {}", told.text);
        assert_ne!(told.correlation(), "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b");
        let seen = seen(&bank);
        assert!(!seen.is_empty());
        for seen in seen {
            let session = ("session".to_owned(), "a.b.c".to_owned());
            assert_eq!(seen.metadata, [session], "{path}");
            assert!(!seen.trace.contains("4bf92f3577b34da6"), "{path}");
        }
    }
}

#[tokio::test]
async fn a_session_that_can_not_travel_is_none() {
    let bank = bank().await;
    let long = "s".repeat(9_000);
    let told = answer(
        bank.request("GET", "/api/account/me")
            .header("X-Session", long),
    )
    .await;
    // The script lets everybody in; the real service refuses a call without a session.
    assert!(told.status.is_success());
    assert_eq!(seen(&bank)[0].session(), None);
}
