//! How often one client may ask for what is dear.

use crate::{
    services::Script,
    started::{SOON, Started, answer},
};
use contracts::{auth::AuthError, transfer::TransferError};
use reqwest::{Client, StatusCode};
use serde_json::json;
use std::{
    net::IpAddr,
    sync::atomic::{AtomicU8, Ordering},
};

/// Each request names another address.
static FORGED: AtomicU8 = AtomicU8::new(0);

/// A client at another address of this machine.
pub(crate) fn client_at(address: &str) -> Client {
    let address: IpAddr = address.parse().unwrap();
    let client = Client::builder().timeout(SOON).local_address(address);
    client.build().unwrap()
}

const REGISTER: (&str, &str) = ("POST", "/api/auth/register");
const LOGIN: (&str, &str) = ("POST", "/api/auth/login");
const PASSWORD: (&str, &str) = ("POST", "/api/auth/password");
const LOOKUP: (&str, &str) = ("GET", "/api/account/lookup?username=bob");
const TRANSFER: (&str, &str) = ("POST", "/api/transfer/transfer");
const STANDING: (&str, &str) = ("POST", "/api/transfer/standing-orders");

async fn ask(bank: &Started, client: &Client, (method, path): (&str, &str)) -> (StatusCode, u64) {
    let url = format!("http://{}{path}", bank.address);
    let body = json!({
        "username": "ada", "password": "open sesame",
        "current_password": "open sesame", "new_password": "sesame, open",
        "to_username": "bob", "amount": 5, "every": "month", "first_at": "2026-01-01T00:00:00Z",
    });
    let request = client.request(method.parse().unwrap(), url).json(&body);
    // What a client says of itself is not believed.
    let forged = format!("198.51.100.{}", FORGED.fetch_add(1, Ordering::Relaxed));
    let request = request
        .header("X-Session", "a.b.c")
        .header("X-Forwarded-For", forged);
    let told = answer(request).await;
    let mut retry_after = 0;
    if told.status == StatusCode::TOO_MANY_REQUESTS {
        retry_after = told.header("retry-after").unwrap().parse().unwrap();
        let detail = format!("Too many requests, try again in {retry_after} s");
        assert_eq!(told.detail(), detail);
    }
    (told.status, retry_after)
}

#[tokio::test]
async fn who_asks_too_often_has_to_wait_and_nobody_else() {
    let few = |limits: &mut api_producer::Limits| {
        limits.registrations_per_minute = 2;
        limits.logins_per_minute = 3;
        limits.lookups_per_minute = 4;
    };
    let bank = Started::with(few, true, None).await;
    // Counting begins with the first look.
    answer(bank.request("GET", "/metrics")).await;
    let (one, other) = (client_at("127.0.0.2"), client_at("127.0.0.3"));
    for (route, limit, often) in [
        (REGISTER, "register", 2),
        (LOGIN, "login", 3),
        (LOOKUP, "lookup", 4),
    ] {
        for _ in 0..often {
            assert_eq!(ask(&bank, &one, route).await.0, StatusCode::OK, "{route:?}");
        }
        // One more may be due meanwhile.
        let retry_after = loop {
            match ask(&bank, &one, route).await {
                (StatusCode::OK, _) => {}
                (status, retry_after) => {
                    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{route:?}");
                    break retry_after;
                }
            }
        };
        assert!((1..=60 / often).contains(&retry_after), "{retry_after}");
        assert_eq!(
            ask(&bank, &other, route).await.0,
            StatusCode::OK,
            "{route:?}"
        );
        let counted = format!("bank_requests_limited_total{{limit=\"{limit}\"}}");
        let metrics = answer(bank.request("GET", "/metrics")).await.text;
        assert!(metrics.contains(&counted), "{metrics}");
    }
    // The gateway asked nobody for those it refused: a password that is changed counts as a login.
    bank.auth.seen();
    let mut changed = 0;
    while ask(&bank, &one, PASSWORD).await.0 == StatusCode::OK {
        changed += 1;
    }
    assert!(changed < 3, "logins had taken what there was");
    assert_eq!(bank.auth.seen().len(), changed);
}

#[tokio::test]
async fn a_refused_login_counts_and_zero_is_without_bound() {
    let none = |limits: &mut api_producer::Limits| {
        limits.registrations_per_minute = 0;
        limits.logins_per_minute = 1;
    };
    let bank = Started::with(none, true, None).await;
    let client = client_at("127.0.0.2");
    bank.auth
        .follows(Script::Refuse(AuthError::InvalidCredentials));
    let first = ask(&bank, &client, LOGIN).await.0;
    assert_eq!(first, StatusCode::UNAUTHORIZED);
    while ask(&bank, &client, LOGIN).await.0 != StatusCode::TOO_MANY_REQUESTS {}
    bank.auth.follows(Script::Answer);
    for _ in 0..100 {
        assert_eq!(ask(&bank, &client, REGISTER).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn who_is_there_is_told_by_orders_no_more_often_than_by_lookups() {
    let few = |limits: &mut api_producer::Limits| limits.lookups_per_minute = 3;
    let bank = Started::with(few, true, None).await;
    let unknown = Script::Refuse(TransferError::UnknownRecipient);
    bank.transfers.follows(unknown);
    let (one, other) = (client_at("127.0.0.2"), client_at("127.0.0.3"));
    for route in [TRANSFER, STANDING] {
        let first = ask(&bank, &other, route).await.0;
        assert_eq!(first, StatusCode::NOT_FOUND, "{route:?}");
    }
    let mut told = 0;
    while ask(&bank, &one, TRANSFER).await.0 == StatusCode::NOT_FOUND {
        told += 1;
        assert!(told < 10, "as often as one likes");
    }
    assert!(told >= 3, "{told}");
    // Together, whichever way they are asked for; one more may be due meanwhile.
    for route in [STANDING, LOOKUP, TRANSFER] {
        let mut more = 0;
        while ask(&bank, &one, route).await.0 != StatusCode::TOO_MANY_REQUESTS {
            more += 1;
            assert!(more < 3, "{route:?}");
        }
    }
    // Nobody else waits for that.
    let others = ask(&bank, &other, TRANSFER).await.0;
    assert_eq!(others, StatusCode::NOT_FOUND);
}
