//! The ten risks of the OWASP API Security Top 10 (2023), each by its number: what the bank does when
//! somebody tries. The other promises go into each of them further.

use super::expect::{all, customer, names, ok, refused};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{io::ErrorKind, net::TcpListener};
use town::{ADMIN_SECRET, Bank, wait::eventually};

/// An id of nothing.
const NOBODYS: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";

/// API1, broken object level authorization: what is another's is not there, by whatever id.
pub(crate) async fn api1_what_is_anothers_is_not_there(bank: &Bank) {
    let (ada, eve) = (customer(bank, "ada").await, customer(bank, "eve").await);
    let month = Timestamp::now().to_string()[..7].to_owned();
    let statement = ada
        .post("/api/account/statements")
        .json(&json!({ "month": month }));
    let statement = statement.ok().await.unwrap();
    let later = Timestamp::now() + SignedDuration::from_hours(240);
    let order = json!({
        "to_username": eve.username, "amount": 1, "every": "month",
        "first_at": later.to_string(),
    });
    let order = ada.post("/api/transfer/standing-orders").json(&order);
    let order = order.ok().await.unwrap();
    let (statement, order) = (id(&statement), id(&order));
    let statement = format!("/api/account/statements/{statement}");
    for ask in [
        eve.get(&statement),
        eve.get(&format!("{statement}/entries.csv")),
        eve.post(&format!("{statement}/cancel")),
        eve.post(&format!("/api/transfer/standing-orders/{order}/cancel")),
    ] {
        assert_eq!(ask.send().await.unwrap().status, 404);
    }
    assert_eq!(ada.get(&statement).send().await.unwrap().status, 200);

    ada.transfer(&eve, 7, "told").ok().await.unwrap();
    let told = "/api/notifications/notifications";
    let hers = eventually("she is told", async || {
        let page = ada.get(told).ok().await.ok()?;
        page[0].get("id").cloned()
    });
    let hers = hers.await;
    let read = eve.post("/api/notifications/read");
    let read = read.json(&json!({ "ids": [hers] })).ok().await.unwrap();
    assert_eq!(read["marked"], 0);
}

/// API2, broken authentication: a session ends when its user says so, and a guess is as wrong as any
/// other.
pub(crate) async fn api2_a_session_ends_and_a_guess_tells_nothing(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    ada.post("/api/auth/logout")
        .json(&json!({}))
        .ok()
        .await
        .unwrap();
    let after = ada.get("/api/account/me").send().await.unwrap();
    refused(&after, 401, "Not authenticated");
    let login = async |username: &str| {
        let credentials = json!({ "username": username, "password": "not her password" });
        let asked = bank.client().post("/api/auth/login").json(&credentials);
        let answer = asked.send().await.unwrap();
        (answer.status, answer.text)
    };
    let nobody = login("nobody-of-that-name").await;
    assert_eq!(nobody.0, 401);
    assert_eq!(login(&ada.username).await, nobody);
}

/// API3, broken object property level authorization: nobody sets what is not theirs to set, or reads
/// what is not theirs to read.
pub(crate) async fn api3_nobody_sets_or_reads_more_than_is_theirs(bank: &Bank) {
    let (ada, eve) = (customer(bank, "ada").await, customer(bank, "eve").await);
    let order = json!({
        "to_username": eve.username, "amount": 5,
        "from": eve.username, "from_username": eve.username, "user_id": eve.id,
        "from_account_number": eve.account_number, "balance": 1_000_000,
    });
    let moved = ada.post("/api/transfer/transfer").key("own").json(&order);
    let moved = moved.ok().await.unwrap();
    assert_eq!(moved["from"], json!(ada.username));
    assert_eq!(ada.balance().await.unwrap(), 99_995);
    assert_eq!(eve.balance().await.unwrap(), 100_005);

    let lookup = format!("/api/account/lookup?username={}", ada.username);
    let seen = eve.get(&lookup).ok().await.unwrap();
    let fields: Vec<_> = seen.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["account_number", "username"]);
}

/// API4, unrestricted resource consumption: a page, a body and a text have a largest size.
pub(crate) async fn api4_whatever_is_asked_has_a_largest_size(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let body = json!({ "amount": 5, "note": "x".repeat(1 << 20) });
    let large = ada.post("/api/account/deposit").json(&body).send();
    assert_eq!(large.await.unwrap().status, 413);
    let statement = "/api/account/statement?size=1000000000&page=1";
    let page = ada.get(statement).ok().await.unwrap();
    assert!(page["size"].as_u64().unwrap() <= 100, "{page}");
    let eve = customer(bank, "eve").await;
    let order = json!({
        "to_username": eve.username, "amount": 1, "reference": "x".repeat(141),
    });
    let long = ada.post("/api/transfer/transfer").json(&order).send();
    names(&long.await.unwrap(), 400, "reference");
    assert_eq!(ada.balance().await.unwrap(), 100_000);
}

/// API5, broken function level authorization: a user is no administrator.
pub(crate) async fn api5_a_user_is_no_administrator(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let admin = "/api/account/admin";
    let user = format!("{admin}/users/{}", ada.id);
    let of_users = ["stats", "users", "transfers", "notifications"];
    let mut paths = of_users.map(|path| format!("{admin}/{path}")).to_vec();
    paths.push(user);
    paths.extend(
        [
            "/services/status",
            "/services/status/live",
            "/circuit-breakers",
            "/dead-letters",
            "/jobs",
            "/delayed-messages",
        ]
        .map(str::to_owned),
    );
    let mut asks: Vec<_> = paths.iter().map(|path| ada.get(path)).collect();
    asks.extend(
        [
            "/circuit-breakers/reset",
            "/dead-letters/redrive",
            "/dead-letters/purge",
            "/jobs/cancel",
        ]
        .map(|path| ada.post(path).json(&json!({ "all": true }))),
    );
    for ask in asks {
        refused(&ask.send().await.unwrap(), 403, "Forbidden");
        // It makes up for the wrong ones, which would put the next off.
        let right = bank.client().get("/api/account/admin/stats");
        ok(right
            .header("X-Admin-Secret", ADMIN_SECRET)
            .send()
            .await
            .unwrap());
    }
}

/// API6, unrestricted access to sensitive business flows: what is asked many times at once moves money
/// once, and never more than there is.
pub(crate) async fn api6_haste_moves_no_more_money(bank: &Bank) {
    let (ada, eve) = (customer(bank, "ada").await, customer(bank, "eve").await);
    let same = all((0..20).map(|_| ada.transfer(&eve, 1_000, "one order"))).await;
    assert!(same.iter().any(|answer| answer.status == 200));
    assert_eq!(eve.balance().await.unwrap(), 101_000);
    let withdraw = |number: u32| {
        let withdraw = ada.post("/api/account/withdraw");
        withdraw
            .key(&format!("haste {number}"))
            .json(&json!({ "amount": 60_000 }))
    };
    let paid = all((0..10).map(withdraw)).await;
    let paid = paid.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(paid, 1);
    assert_eq!(ada.balance().await.unwrap(), 39_000);
}

/// API7, server side request forgery: no text leads the bank to an address.
pub(crate) async fn api7_no_text_leads_the_bank_to_an_address(bank: &Bank) {
    let (ada, eve) = (customer(bank, "ada").await, customer(bank, "eve").await);
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", trap.local_addr().unwrap());
    let order = json!({ "to_username": eve.username, "amount": 1, "reference": url });
    let order = ada.post("/api/transfer/transfer").json(&order);
    ok(order.send().await.unwrap());
    let register = json!({ "username": url, "password": url, "phone": url, "avatar": url });
    let register = bank.client().post("/api/auth/register").json(&register);
    assert_eq!(register.send().await.unwrap().status, 400);
    for header in [
        "X-Forwarded-Host",
        "Referer",
        "Origin",
        "X-Original-URL",
        "Forwarded",
    ] {
        let asked = ada.get("/api/account/me").header(header, &url);
        assert_eq!(asked.send().await.unwrap().status, 200, "{header}");
    }
    let search = format!("/api/account/statement?search={url}");
    assert_eq!(ada.get(&search).send().await.unwrap().status, 200);
    // The statement that names it is made, and the other is told.
    let told = async || eve.get("/api/notifications/notifications").ok().await.ok();
    eventually("the other is told", async || {
        told().await?[0].get("id").map(drop)
    })
    .await;
    let asked = trap.accept().unwrap_err();
    assert_eq!(asked.kind(), ErrorKind::WouldBlock);
}

/// API8, security misconfiguration: what is answered is safe in a browser, and says nothing of what is
/// within.
pub(crate) async fn api8_an_answer_is_safe_in_a_browser_and_tells_nothing_of_within(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    for path in [
        "/api/account/me",
        "/nowhere",
        "/api/account/statement?from=x",
    ] {
        let asked = ada.get(path).header("Origin", "https://evil.example");
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
        for tells in ["access-control-allow-origin", "server", "x-powered-by"] {
            assert_eq!(answer.header(tells), "", "{path}");
        }
        let text = answer.text.to_lowercase();
        for within in ["panicked", "sqlx", ".rs:", "select ", "stack backtrace"] {
            assert!(!text.contains(within), "{path}: {text}");
        }
    }
}

/// API9, improper inventory management: what is described is there, and nothing else is.
pub(crate) async fn api9_what_is_described_is_there_and_nothing_else(bank: &Bank) {
    let api = bank.client().get("/openapi.json").ok().await.unwrap();
    let mut described = 0;
    for (path, methods) in api["paths"].as_object().unwrap() {
        let path = path.replace("{id}", NOBODYS);
        for method in methods.as_object().unwrap().keys() {
            let ask = match method.as_str() {
                "get" => bank.client().get(&path),
                "post" => bank.client().post(&path).json(&json!({})),
                _ => continue,
            };
            let status = ask.send().await.unwrap().status;
            assert!(!matches!(status, 404 | 405), "{method} {path}: {status}");
            described += 1;
        }
    }
    assert!(described > 30, "{described}");
    for path in [
        "/v1/account/me",
        "/api/v1/account/me",
        "/api/v2/account/me",
        "/debug",
        "/actuator",
        "/swagger",
        "/admin",
        "/api/account/admin",
        "/.git/config",
    ] {
        assert_eq!(
            bank.client().get(path).send().await.unwrap().status,
            404,
            "{path}"
        );
    }
}

/// API10, unsafe consumption of APIs: what came from elsewhere stays a text, wherever it is shown.
pub(crate) async fn api10_what_came_from_elsewhere_stays_a_text(bank: &Bank) {
    let (ada, eve) = (customer(bank, "ada").await, customer(bank, "eve").await);
    let hostile = "=HYPERLINK(\"http://evil\") <script>alert(1)</script> '; DROP TABLE entries";
    let order = json!({ "to_username": eve.username, "amount": 1, "reference": hostile });
    let order = ada.post("/api/transfer/transfer").json(&order);
    ok(order.send().await.unwrap());
    let page = eve.get("/api/account/statement").send().await.unwrap();
    assert_eq!(page.header("content-type"), "application/json");
    let shown = page.body["items"].as_array().unwrap();
    let told: Vec<_> = shown.iter().map(Value::to_string).collect();
    assert!(
        told.iter().any(|entry| entry.contains("DROP TABLE")),
        "{told:?}"
    );
    let file = eve.get("/api/account/statement.csv").send().await.unwrap();
    assert!(file.header("content-type").starts_with("text/csv"));
    assert!(file.text.contains("'=HYPERLINK"), "{}", file.text);
    assert_eq!(eve.balance().await.unwrap(), 100_001);
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}
