//! `X-Correlation-Id`: on every answer, another for each, and the services' name for the call.

use crate::{
    services::Script,
    started::{Started, answer, bank},
    table::seen,
};
use chassis::settings::PlatformSettings;
use replybus::CallId;
use replybus_testkit::wait::eventually;
use serde_json::json;
use std::collections::HashSet;

#[tokio::test]
async fn every_answer_has_one_of_its_own() {
    let bank = bank().await;
    bank.notifications.follows(Script::Panic);
    let mut ids = HashSet::new();
    let requests = [
        ("GET", "/"),
        ("GET", "/openapi.json"),
        ("GET", "/health"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("GET", "/ws"),
        ("PUT", "/api/auth/login"),
        ("POST", "/api/auth/login"),
        ("GET", "/api/account/me"),
        ("GET", "/api/account/lookup"),
        ("GET", "/api/account/admin/stats"),
        ("GET", "/api/account/health"),
        ("GET", "/api/notifications/notifications"),
        ("GET", "/api/dashboard"),
    ];
    for (method, path) in requests {
        for request in [bank.request(method, path), bank.allowed(method, path)] {
            let told = answer(request).await;
            let id: CallId = told.correlation().parse().unwrap();
            assert!(ids.insert(id), "{path}: {id} was used before");
        }
    }
    assert_eq!(ids.len(), 2 * requests.len());
}

#[tokio::test]
async fn it_is_the_id_of_the_call_also_if_that_fails() {
    let bank = bank().await;
    bank.accounts.follows(Script::Refuse(
        contracts::account::AccountError::KeyConflict,
    ));
    let deposit = json!({ "amount": 5 });
    let told = answer(bank.signed("POST", "/api/account/deposit").json(&deposit)).await;
    assert_eq!(told.status.as_u16(), 409);
    assert_eq!(seen(&bank)[0].call_id, told.correlation());
}

#[tokio::test]
async fn requests_at_the_same_time_keep_theirs_apart() {
    let bank = bank().await;
    let asked = (0..50).map(|_| answer(bank.signed("GET", "/api/account/balance")));
    let told = futures_util::future::join_all(asked).await;
    let told: HashSet<_> = told
        .iter()
        .map(|told| told.correlation().to_owned())
        .collect();
    let seen: HashSet<_> = seen(&bank).into_iter().map(|seen| seen.call_id).collect();
    assert_eq!(told.len(), 50);
    assert_eq!(told, seen);
}

#[tokio::test]
async fn the_calls_of_one_request_are_one_trace() {
    let bank = bank().await;
    let told = answer(bank.signed("GET", "/api/dashboard")).await;
    let seen = seen(&bank);
    let traces: HashSet<_> = seen
        .iter()
        .map(|seen| seen.trace[3..35].to_owned())
        .collect();
    assert_eq!((seen.len(), traces.len()), (3, 1));
    assert!(seen.iter().any(|seen| seen.call_id == told.correlation()));
}

#[tokio::test]
async fn what_became_of_a_request_is_recorded_under_it_and_under_its_trace() {
    let settings = PlatformSettings {
        flight_record: true,
        ..PlatformSettings::default()
    };
    let bank = Started::on(settings, |_| {}, true, None).await;
    let told = answer(bank.signed("GET", "/api/dashboard")).await;
    let trace = seen(&bank)[0].trace[3..35].to_owned();
    let trace_id = u128::from_str_radix(&trace, 16).unwrap();
    let bus = &bank.platform.bus;
    eventually("its three calls are recorded", || async {
        let flights = bus.flights_of_trace(trace_id).await.unwrap();
        flights.len() == 3 && flights.iter().all(|flight| flight.outcome() == Some("ok"))
    })
    .await;
    let call: CallId = told.correlation().parse().unwrap();
    let flight = bus.flight(call).await.unwrap().unwrap();
    assert_eq!(flight.trace.as_deref(), Some(&*trace));
}
