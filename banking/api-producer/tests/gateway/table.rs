//! Every route: what the service is asked, and what the client is told.

use crate::{
    services::{ID, NUMBER, Seen, TIME},
    started::{Started, answer, bank},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Method and path, the body, the service's method and its arguments, the answer.
type Row = (
    &'static str,
    String,
    Option<Value>,
    &'static str,
    String,
    Value,
);

fn of_auth() -> Vec<Row> {
    vec![
        (
            "POST",
            String::from("/api/auth/register"),
            Some(json!({ "username": "eve", "password": "pa55 word", "phone": "4915112345678" })),
            "register",
            "eve pa55 word Some(\"4915112345678\") a key".into(),
            json!({
                "id": ID, "phone": null, "username": "eve", "account_number": NUMBER,
                "balance": 100_000,
            }),
        ),
        (
            "POST",
            String::from("/api/auth/register"),
            Some(json!({ "username": "eve", "password": "pa55 word", "age": 7 })),
            "register",
            "eve pa55 word None a key".into(),
            json!({
                "id": ID, "phone": null, "username": "eve", "account_number": NUMBER,
                "balance": 100_000,
            }),
        ),
        (
            "POST",
            String::from("/api/auth/login"),
            Some(json!({ "username": "eve", "password": "pa55 word" })),
            "login",
            "Username(\"eve\") pa55 word".into(),
            json!({
                "session": "a.b.c", "phone": null, "username": "eve", "account_number": NUMBER,
                "balance": 5,
            }),
        ),
        (
            "POST",
            String::from("/api/auth/password"),
            Some(json!({ "current_password": "pa55 word", "new_password": "another one" })),
            "change_password",
            "pa55 word another one".into(),
            json!({ "ok": true }),
        ),
        (
            "POST",
            String::from("/api/auth/logout"),
            None,
            "logout",
            String::new(),
            json!({ "ok": true }),
        ),
    ]
}

fn of_accounts() -> Vec<Row> {
    let profile = json!({
        "id": ID, "phone": "49*********78", "username": "ada", "account_number": NUMBER,
        "balance": 100_000,
    });
    let entry = json!({
        "id": ID, "number": 2, "kind": "transfer", "amount": -5, "balance": 99_995,
        "counterparty": NUMBER, "counterparty_username": "bob", "reference": "=Rent, March",
        "created_at": TIME,
    });
    vec![
        (
            "GET",
            String::from("/api/account/me"),
            None,
            "me",
            String::new(),
            profile,
        ),
        (
            "GET",
            String::from("/api/account/balance"),
            None,
            "balance",
            String::new(),
            json!({ "balance": 7 }),
        ),
        (
            "GET",
            String::from("/api/account/lookup?account_number=00012345&x=1"),
            None,
            "lookup",
            "AccountNumber(AccountNumber(\"00012345\"))".into(),
            json!({ "account_number": NUMBER, "username": "bob" }),
        ),
        (
            "GET",
            String::from("/api/account/lookup?username=%20BOB&account_number="),
            None,
            "lookup",
            "Username(\"BOB\")".into(),
            json!({ "account_number": NUMBER, "username": "bob" }),
        ),
        (
            "GET",
            String::from("/api/account/statement"),
            None,
            "statement",
            "20 from 0 None None None".into(),
            page(json!([entry]), 1, 1, 20, 1),
        ),
        (
            "GET",
            String::from("/api/account/statement?page=3&size=1000"),
            None,
            "statement",
            "100 from 200 None None None".into(),
            page(json!([entry]), 1, 3, 100, 1),
        ),
        (
            "GET",
            format!("/api/account/statement?search=%20rent%20&from={TIME}&to=2026-01-03T00:00:00Z"),
            None,
            "statement",
            format!("20 from 0 Some(\"rent\") Some(\"{TIME}\") Some(\"2026-01-03T00:00:00Z\")"),
            page(json!([entry]), 1, 1, 20, 1),
        ),
        (
            "GET",
            String::from("/api/transactions?page=3&size=1000"),
            None,
            "statement",
            "100 from 200 None None None".into(),
            page(json!([entry]), 1, 3, 100, 1),
        ),
    ]
}

fn of_months() -> Vec<Row> {
    let statement = |state: &str, done: i64, result: Value| {
        json!({
            "id": ID, "month": "2026-01", "time_zone": "UTC", "state": state, "done": done,
            "total": 7, "created_at": TIME, "result": result,
        })
    };
    let result = json!({
        "from": TIME, "to": TIME, "is_whole": true, "opening_balance": 5, "paid_in": 3,
        "paid_out": 1, "closing_balance": 7, "entries": 2,
    });
    let made = statement("made", 7, result);
    let path = "/api/account/statements";
    vec![
        (
            "POST",
            String::from(path),
            Some(json!({ "month": "2026-01" })),
            "begin_month_statement",
            "2026-01 UTC a key".into(),
            statement("waiting", 0, Value::Null),
        ),
        (
            "POST",
            String::from(path),
            Some(json!({ "month": "2026-01", "time_zone": "Asia/Ho_Chi_Minh" })),
            "begin_month_statement",
            "2026-01 Asia/Ho_Chi_Minh a key".into(),
            statement("waiting", 0, Value::Null),
        ),
        (
            "GET",
            String::from(path),
            None,
            "month_statements",
            String::new(),
            json!([made]),
        ),
        (
            "GET",
            format!("{path}/{ID}"),
            None,
            "month_statement",
            ID.into(),
            made,
        ),
        (
            "POST",
            format!("{path}/{ID}/cancel"),
            None,
            "cancel_month_statement",
            ID.into(),
            statement("cancelled", 0, Value::Null),
        ),
    ]
}

fn of_the_administrator() -> Vec<Row> {
    let user = json!({
        "id": ID, "username": "ada", "phone": null, "account_number": NUMBER, "balance": 1,
        "created_at": TIME,
    });
    vec![
        (
            "GET",
            String::from("/api/account/admin/users?search=a%20d&page=2"),
            None,
            "admin_users",
            "20 from 20 Some(\"a d\")".into(),
            page(json!([user]), 1, 2, 20, 1),
        ),
        (
            "GET",
            format!("/api/account/admin/users/{ID}"),
            None,
            "admin_user",
            ID.into(),
            user,
        ),
        (
            "GET",
            format!("/api/account/admin/transfers?user_id={ID}&search=ada&size=5"),
            None,
            "admin_transfers",
            format!("5 from 0 Some(\"{ID}\") Some(\"ada\")"),
            page(json!([]), 0, 1, 5, 0),
        ),
        (
            "GET",
            String::from("/api/account/admin/notifications?user_id="),
            None,
            "admin_notifications",
            "20 from 0 None".into(),
            page(json!([]), 0, 1, 20, 0),
        ),
    ]
}

fn of_money() -> Vec<Row> {
    let transaction = json!({
        "id": ID, "direction": "sent", "from": "ada", "from_account_number": NUMBER,
        "to": "bob", "to_account_number": NUMBER, "amount": 5, "reference": null,
        "status": "completed",
        "created_at": TIME,
    });
    let receipt = json!({
        "ok": true, "from": "ada", "to": "bob", "to_account_number": NUMBER, "amount": 5,
    });
    vec![
        (
            "POST",
            String::from("/api/account/deposit"),
            Some(json!({ "amount": 5 })),
            "deposit",
            "5 a key".into(),
            json!({ "balance": 8 }),
        ),
        (
            "POST",
            String::from("/api/account/withdraw"),
            Some(json!({ "amount": 5 })),
            "withdraw",
            "5 a key".into(),
            json!({ "balance": 6 }),
        ),
        (
            "POST",
            String::from("/api/transactions"),
            Some(json!({ "type": "deposit", "amount": 5 })),
            "deposit",
            "5 a key".into(),
            json!({ "balance": 8 }),
        ),
        (
            "POST",
            String::from("/api/transactions"),
            Some(json!({ "type": "withdraw", "amount": 5 })),
            "withdraw",
            "5 a key".into(),
            json!({ "balance": 6 }),
        ),
        (
            "POST",
            String::from("/api/transfer/transfer"),
            Some(json!({ "to_username": "bob", "amount": 5 })),
            "transfer",
            "Username(\"bob\") 5 None a key".into(),
            receipt.clone(),
        ),
        (
            "POST",
            String::from("/api/transfer/transfer"),
            Some(json!({
                "to_account_number": NUMBER, "to_username": null, "amount": 5,
                "reference": " Rent, March ",
            })),
            "transfer",
            format!("AccountNumber(AccountNumber(\"{NUMBER}\")) 5 Some(\"Rent, March\") a key"),
            receipt,
        ),
        (
            "GET",
            String::from("/api/transfer/transactions?size=2"),
            None,
            "transactions",
            "2 from 0".into(),
            page(json!([transaction]), 1, 1, 2, 1),
        ),
    ]
}

fn of_standing_orders() -> Vec<Row> {
    let order = json!({
        "id": ID, "to": "bob", "to_account_number": NUMBER, "amount": 5, "reference": null,
        "first_at": TIME, "every": "month", "count": 1, "time_zone": "UTC", "until": null,
        "times": null, "state": "active", "next_at": TIME, "occurrences": 0, "last": null,
        "created_at": TIME,
    });
    let path = "/api/transfer/standing-orders";
    vec![
        (
            "POST",
            String::from(path),
            Some(json!({ "to_username": "bob", "amount": 5, "first_at": TIME, "every": "month" })),
            "order_standing",
            format!("Username(\"bob\") 5 {TIME} 1 month UTC None None a key"),
            order.clone(),
        ),
        (
            "POST",
            String::from(path),
            Some(json!({
                "to_account_number": NUMBER, "amount": 5, "first_at": TIME, "every": "day",
                "count": 366, "time_zone": "Europe/Berlin", "until": TIME, "times": 12,
            })),
            "order_standing",
            format!(
                "AccountNumber(AccountNumber(\"{NUMBER}\")) 5 {TIME} 366 day Europe/Berlin \
                 Some(\"{TIME}\") Some(12) a key"
            ),
            order.clone(),
        ),
        (
            "GET",
            format!("{path}?size=2"),
            None,
            "standing_orders",
            "2 from 0".into(),
            page(json!([order]), 1, 1, 2, 1),
        ),
        (
            "POST",
            format!("{path}/{ID}/cancel"),
            None,
            "cancel_standing_order",
            ID.into(),
            order,
        ),
    ]
}

fn of_notifications() -> Vec<Row> {
    let notification =
        json!({ "id": ID, "message": "You got 5", "is_read": false, "created_at": TIME });
    vec![
        (
            "GET",
            String::from("/api/notifications/notifications"),
            None,
            "list",
            "50 from 0".into(),
            json!([notification]),
        ),
        (
            "GET",
            String::from("/api/notifications/notifications?page=2&size=5"),
            None,
            "list",
            "5 from 5".into(),
            json!([notification]),
        ),
        (
            "GET",
            String::from("/api/notifications"),
            None,
            "list",
            "50 from 0".into(),
            json!([notification]),
        ),
        (
            "POST",
            String::from("/api/notifications/read"),
            Some(json!({ "ids": [ID] })),
            "mark_read",
            format!("Some([\"{ID}\"])"),
            json!({ "marked": 1 }),
        ),
        (
            "POST",
            String::from("/api/notifications/read"),
            None,
            "mark_read",
            "None".into(),
            json!({ "marked": 1 }),
        ),
    ]
}

fn page(items: Value, total: u64, page: u64, size: u64, pages: u64) -> Value {
    json!({ "items": items, "total": total, "page": page, "size": size, "pages": pages })
}

fn rows() -> impl Iterator<Item = Row> {
    let parts = [
        of_auth(),
        of_accounts(),
        of_months(),
        of_the_administrator(),
        of_money(),
        of_standing_orders(),
        of_notifications(),
    ];
    parts.into_iter().flatten()
}

pub(crate) fn seen(bank: &Started) -> Vec<Seen> {
    let mut seen = bank.auth.seen();
    seen.extend(bank.accounts.seen());
    seen.extend(bank.transfers.seen());
    seen.extend(bank.notifications.seen());
    seen
}

#[tokio::test]
async fn every_route_asks_its_service_and_tells_the_client_what_it_said() {
    let bank = bank().await;
    for (method, path, body, asked, arguments, expected) in rows() {
        let mut request = bank
            .allowed(method, &path)
            .header("Idempotency-Key", "a key");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let told = answer(request).await;
        assert_eq!(told.status, StatusCode::OK, "{path}: {}", told.text);
        assert_eq!(told.json(), expected, "{path}");
        assert_eq!(
            told.header("content-type"),
            Some("application/json"),
            "{path}"
        );
        assert_eq!(told.header("cache-control"), Some("no-store"), "{path}");

        let seen = seen(&bank);
        let [seen] = seen.as_slice() else {
            panic!("{path}: {seen:?}")
        };
        assert_eq!(
            (seen.method.as_str(), seen.arguments.as_str()),
            (asked, arguments.as_str())
        );
        assert_eq!(seen.session(), Some("a.b.c"), "{path}");
        assert_eq!(seen.call_id, told.correlation(), "{path}");
        // The services' own databases know the key; the bus does not.
        assert_eq!(seen.key, None, "{path}");
    }
}

#[tokio::test]
async fn a_bearer_token_is_a_session_too() {
    let bank = bank().await;
    let request = bank.request("GET", "/api/account/me");
    let told = answer(request.bearer_auth("d.e.f")).await;
    assert_eq!(told.status, StatusCode::OK);
    assert_eq!(bank.accounts.seen()[0].session(), Some("d.e.f"));
}

#[tokio::test]
async fn health_is_asked_over_the_queue() {
    let bank = bank().await;
    for (part, name) in [
        ("auth", "auth-service"),
        ("account", "account-service"),
        ("transfer", "transfer-service"),
        ("notifications", "notification-service"),
    ] {
        let told = answer(bank.request("GET", &format!("/api/{part}/health"))).await;
        assert_eq!(told.status, StatusCode::OK);
        let expected = json!({ "status": "up", "service": name, "database": "up", "redis": "up" });
        assert_eq!(told.json(), expected);
        let seen = seen(&bank);
        assert_eq!((seen.len(), seen[0].method.as_str()), (1, "health"));
    }
    bank.transfers.is_unwell();
    let told = answer(bank.request("GET", "/api/transfer/health")).await;
    assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(told.header("retry-after"), Some("1"));
    let expected = json!({
        "status": "down", "service": "transfer-service", "database": "down", "redis": "up",
    });
    assert_eq!(told.json(), expected);
}

#[tokio::test]
async fn an_answer_repeats_the_key_it_was_asked_under() {
    let bank = bank().await;
    let transfer = json!({ "to_username": "bob", "amount": 5 });
    let money = [
        ("/api/account/deposit", json!({ "amount": 5 })),
        ("/api/account/withdraw", json!({ "amount": 5 })),
        ("/api/transfer/transfer", transfer),
    ];
    for (path, body) in &money {
        let request = bank.signed("POST", path).json(body);
        let told = answer(request.header("Idempotency-Key", "mine: 1~")).await;
        assert_eq!(told.header("idempotency-key"), Some("mine: 1~"), "{path}");
        assert!(seen(&bank)[0].arguments.ends_with(" mine: 1~"));

        let mut drawn = Vec::new();
        for _ in 0..2 {
            let told = answer(bank.signed("POST", path).json(body)).await;
            let key = told.header("idempotency-key").unwrap().to_owned();
            assert!(seen(&bank)[0].arguments.ends_with(&format!(" {key}")));
            drawn.push(key);
        }
        assert_ne!(drawn[0], drawn[1], "{path}: each request is another effect");
    }
}
