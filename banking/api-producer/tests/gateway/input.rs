//! What a client may not send, and that it is told which part of it is wrong.

use crate::{
    started::{Started, answer, bank},
    table::seen,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// A route, a body that it accepts, and what each of the fields may not be.
type Accepted = (&'static str, Value, Vec<(&'static str, Vec<Value>)>);

fn bodies() -> Vec<Accepted> {
    let no_text = || vec![json!(5), json!(true), json!(["x"]), json!({})];
    let required_text = || [no_text(), vec![Value::Null, json!("")]].concat();
    let no_amount = || {
        let mut wrong = vec![json!(0), json!(-1), json!(1.5), json!(1.0), json!("5")];
        wrong.extend([
            json!(null),
            json!(true),
            json!([5]),
            json!(1_000_000_000_001_i64),
        ]);
        wrong
    };
    let password = "pa55 word";
    vec![
        (
            "/api/auth/register",
            json!({ "username": "eve", "password": password, "phone": "4915112345678" }),
            vec![
                ("username", required_text()),
                ("password", required_text()),
                ("phone", no_text()),
            ],
        ),
        (
            "/api/auth/login",
            json!({ "username": "eve", "password": password }),
            vec![
                ("username", required_text()),
                ("password", required_text()),
                ("phone", no_text()),
            ],
        ),
        (
            "/api/account/deposit",
            json!({ "amount": 5 }),
            vec![("amount", no_amount())],
        ),
        (
            "/api/account/withdraw",
            json!({ "amount": 5 }),
            vec![("amount", no_amount())],
        ),
        (
            "/api/transfer/transfer",
            json!({ "to_username": "bob", "amount": 5 }),
            vec![
                ("to_username", required_text()),
                ("amount", no_amount()),
                ("to_account_number", no_text()),
            ],
        ),
        (
            "/api/transfer/transfer",
            json!({ "to_account_number": "123456", "amount": 5 }),
            vec![(
                "to_account_number",
                vec![json!("12345"), json!("12345x"), json!(123_456)],
            )],
        ),
        (
            "/api/account/statements",
            json!({ "month": "2026-01", "time_zone": "UTC" }),
            vec![
                (
                    "month",
                    [
                        required_text(),
                        [
                            "0000-13",
                            "2026-13",
                            "2026-1",
                            "1969-12",
                            "2026-01-01",
                            "now",
                        ]
                        .map(|text| json!(text))
                        .to_vec(),
                    ]
                    .concat(),
                ),
                (
                    "time_zone",
                    [no_text(), vec![json!("Mars/Olympus"), json!("../UTC")]].concat(),
                ),
            ],
        ),
        (
            "/api/transfer/standing-orders",
            json!({
                "to_username": "bob", "amount": 5, "every": "month",
                "first_at": "2026-01-31T00:00:00Z",
            }),
            vec![
                ("to_username", required_text()),
                ("amount", no_amount()),
                ("every", [required_text(), vec![json!("year")]].concat()),
                (
                    "first_at",
                    [
                        required_text(),
                        vec![json!("tomorrow"), json!("2026-01-31")],
                    ]
                    .concat(),
                ),
                ("until", [no_text(), vec![json!("later")]].concat()),
                (
                    "time_zone",
                    [no_text(), vec![json!("Mars/Olympus")]].concat(),
                ),
                (
                    "count",
                    vec![
                        json!(0),
                        json!(367),
                        json!(-1),
                        json!(1.5),
                        json!("2"),
                        json!(70_000),
                    ],
                ),
                (
                    "times",
                    vec![json!(0), json!(-1), json!("2"), json!(4_294_967_296_i64)],
                ),
            ],
        ),
        (
            "/api/notifications/read",
            json!({ "ids": [] }),
            vec![("ids", vec![json!("x"), json!(["x"]), json!([5]), json!({})])],
        ),
    ]
}

async fn refused(bank: &Started, path: &str, body: &str) -> String {
    let request = bank.allowed("POST", path).body(body.to_owned());
    let told = answer(request).await;
    assert_eq!(
        told.status,
        StatusCode::BAD_REQUEST,
        "{path} {body}: {}",
        told.text
    );
    assert!(seen(bank).is_empty(), "{path} {body}: no service is asked");
    told.detail()
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_named() {
    let bank = bank().await;
    for (path, good, fields) in bodies() {
        let told = answer(bank.allowed("POST", path).json(&good)).await;
        assert_eq!(told.status, StatusCode::OK, "{path}: {}", told.text);
        seen(&bank);
        for (field, values) in fields {
            for value in values {
                let mut body = good.clone();
                body[field] = value;
                let body = body.to_string();
                let detail = refused(&bank, path, &body).await;
                // One of two alternatives may be named by the other.
                let named = detail.starts_with(&format!("{field}: "))
                    || (detail.contains(field) && detail.contains("required"));
                assert!(named, "{path} {body}: {detail}");
                assert!(!detail.contains("pa55"), "{detail}");
            }
        }
    }
}

#[tokio::test]
async fn a_missing_field_is_named() {
    let bank = bank().await;
    for (path, good, _) in bodies() {
        if path == "/api/notifications/read" {
            continue;
        }
        for field in good
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| !["phone", "time_zone"].contains(&name.as_str()))
        {
            let mut body = good.clone();
            body.as_object_mut().unwrap().remove(field);
            let detail = refused(&bank, path, &body.to_string()).await;
            assert!(
                detail.contains(field) && detail.contains("required"),
                "{detail}"
            );
        }
        let detail = refused(&bank, path, "").await;
        assert!(detail.contains("required"), "{path}: {detail}");
    }
}

#[tokio::test]
async fn an_exponent_or_more_digits_than_can_be_counted_are_no_amount() {
    let bank = bank().await;
    for amount in [
        "1e2",
        "1E0",
        "5.",
        "05",
        "+5",
        "0x5",
        "9223372036854775808",
        "1e999",
        "NaN",
    ] {
        let body = format!(r#"{{"amount":{amount}}}"#);
        let detail = refused(&bank, "/api/account/deposit", &body).await;
        assert!(
            detail.starts_with("amount: ") || detail.starts_with("body: "),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let bank = bank().await;
    for body in ["x", "{", "[]", "5", "null", "{\"amount\":5}}", "amount=5"] {
        let detail = refused(&bank, "/api/account/deposit", body).await;
        assert!(detail.starts_with("body: "), "{body}: {detail}");
    }
}

#[tokio::test]
async fn both_of_two_alternatives_are_one_too_many() {
    let bank = bank().await;
    let body = json!({ "to_username": "bob", "to_account_number": "123456", "amount": 5 });
    let detail = refused(&bank, "/api/transfer/transfer", &body.to_string()).await;
    assert!(detail.contains("not both"), "{detail}");
}

#[tokio::test]
async fn a_reference_that_hides_something_or_has_no_end_is_refused() {
    let bank = bank().await;
    let long = "x".repeat(141);
    for reference in [
        json!("two\nlines"),
        json!("a\u{202e}b"),
        json!("a\u{200b}b"),
        json!("a\0b"),
        json!(long),
        json!(5),
    ] {
        let body = json!({ "to_username": "bob", "amount": 5, "reference": reference });
        let detail = refused(&bank, "/api/transfer/transfer", &body.to_string()).await;
        assert!(detail.starts_with("reference: "), "{detail}");
    }
    assert!(seen(&bank).is_empty());
}

#[tokio::test]
async fn a_parameter_that_is_not_as_it_must_be_is_named() {
    let bank = bank().await;
    let long = format!("/api/account/admin/users?search={}", "x".repeat(101));
    for (path, field) in [
        ("/api/account/statement?page=0", "page"),
        ("/api/account/statement?page=-1", "page"),
        ("/api/account/statement?page=x", "page"),
        ("/api/account/statement?page=1.5", "page"),
        ("/api/account/statement?size=0", "size"),
        ("/api/account/statement?size=99999999999", "size"),
        ("/api/transfer/transactions?size=many", "size"),
        ("/api/account/statement?from=yesterday", "from"),
        ("/api/account/statement?from=2026-03-01", "from"),
        ("/api/account/statement.csv?to=2026-13-01T00:00:00Z", "to"),
        ("/api/account/lookup", "account_number"),
        ("/api/account/lookup?account_number=", "account_number"),
        (
            "/api/account/lookup?account_number=400012345675&username=ada",
            "account_number",
        ),
        ("/api/account/lookup?account_number=12345", "account_number"),
        (
            "/api/account/lookup?account_number=123456x",
            "account_number",
        ),
        ("/api/account/admin/users/me", "id"),
        ("/api/account/admin/users?page=0", "page"),
        ("/api/account/admin/transfers?user_id=5", "user_id"),
        ("/api/account/admin/notifications?user_id=ada", "user_id"),
        ("/api/account/statement?page=1&page=2", "query"),
        (long.as_str(), "search"),
    ] {
        let told = answer(bank.allowed("GET", path)).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{path}");
        let detail = told.detail();
        assert!(
            detail.starts_with(&format!("{field}: ")),
            "{path}: {detail}"
        );
    }
    assert!(seen(&bank).is_empty());
}

#[tokio::test]
async fn a_key_that_can_not_be_one_is_refused() {
    let bank = bank().await;
    let deposit = || {
        bank.signed("POST", "/api/account/deposit")
            .json(&json!({ "amount": 5 }))
    };
    let long = "k".repeat(129);
    let tab = "a\tb".to_owned();
    for key in [String::new(), long, tab, "schlüssel".to_owned()] {
        let told = answer(deposit().header("Idempotency-Key", key.as_bytes())).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{key:?}");
        assert!(told.detail().starts_with("Idempotency-Key: "));
    }
    let two = deposit()
        .header("Idempotency-Key", "a")
        .header("Idempotency-Key", "b");
    assert_eq!(answer(two).await.status, StatusCode::BAD_REQUEST);
    assert!(seen(&bank).is_empty());
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whatever_the_route() {
    let bank = bank().await;
    let most = 64 * 1024;
    let padded = |length: usize| {
        let (start, end) = (r#"{"amount":5,"note":""#, r#""}"#);
        let padding = "x".repeat(length - start.len() - end.len());
        format!("{start}{padding}{end}")
    };
    let post = |path: &str, body: String| answer(bank.allowed("POST", path).body(body));
    let told = post("/api/account/deposit", padded(most)).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.text);
    seen(&bank);
    for path in [
        "/api/account/deposit",
        "/api/auth/logout",
        "/nowhere",
        "/api/auth/login",
    ] {
        for length in [most + 1, 10 * most] {
            let told = post(path, padded(length)).await;
            assert_eq!(told.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
            assert!(told.detail().contains("65536"));
        }
    }
    // One whose length is not announced.
    let chunks = [(); 2].map(|()| Ok::<_, std::io::Error>("x".repeat(most)));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let told = answer(bank.allowed("POST", "/api/account/deposit").body(body)).await;
    assert_eq!(told.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(seen(&bank).is_empty());
}

#[tokio::test]
async fn what_does_not_exist_is_404_and_what_is_not_done_405() {
    let bank = bank().await;
    for path in [
        "/nowhere",
        "/api",
        "/api/",
        "/api/account/me/",
        "/api/account",
        "/api/../etc",
    ] {
        let told = answer(bank.allowed("GET", path)).await;
        assert_eq!(told.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(told.detail(), "Not found");
    }
    for (method, path, allow) in [
        ("GET", "/api/auth/login", "POST"),
        ("POST", "/api/account/me", "GET,HEAD"),
        ("DELETE", "/api/transfer/transfer", "POST"),
        ("OPTIONS", "/api/dashboard", "GET,HEAD"),
        ("BREW", "/health", "GET,HEAD"),
        ("POST", "/openapi.json", "GET,HEAD"),
        ("POST", "/", "GET,HEAD"),
    ] {
        let told = answer(bank.allowed(method, path)).await;
        assert_eq!(
            told.status,
            StatusCode::METHOD_NOT_ALLOWED,
            "{method} {path}"
        );
        assert_eq!(told.detail(), "Method not allowed");
        assert_eq!(told.header("allow"), Some(allow), "{method} {path}");
    }
}
