//! What those who run the bank look at and do: with the secret, and without it.

use crate::{
    services::Script,
    started::{ADMIN_SECRET, Answer, SOON, Started, answer, bank},
};
use chassis::{Platform, Running, settings::PlatformSettings};
use contracts::program::QUEUES;
use futures_util::StreamExt as _;
use live_feed::Feed;
use replybus::{Context, Never, queue_handler};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

async fn look(bank: &Started, path: &str) -> Answer {
    let request = bank.request("GET", path);
    answer(request.header("X-Admin-Secret", ADMIN_SECRET)).await
}

async fn act(bank: &Started, path: &str, body: Value) -> Answer {
    let request = bank.request("POST", path).json(&body);
    answer(request.header("X-Admin-Secret", ADMIN_SECRET)).await
}

async fn balance(bank: &Started) -> Answer {
    answer(bank.signed("GET", "/api/account/balance")).await
}

async fn breaker(bank: &Started) -> Value {
    let told = look(bank, "/circuit-breakers").await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.text);
    told.json()["account.requests"]["patterns"]["balance"].clone()
}

fn impatient(limits: &mut api_producer::Limits) {
    limits.request = Duration::from_millis(600);
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_not_asked_for_a_while() {
    let bank = Started::with(impatient, true, Some(ADMIN_SECRET)).await;
    let closed = json!({
        "status": "CLOSED", "failureCount": 0, "successCount": 0, "threshold": 5, "timeout": 2_000,
    });
    assert_eq!(breaker(&bank).await, closed);
    bank.accounts.follows(Script::NeverAnswer);
    for _ in 0..5 {
        assert_eq!(balance(&bank).await.status, StatusCode::GATEWAY_TIMEOUT);
    }
    assert_eq!(bank.accounts.seen().len(), 5);
    let refused = balance(&bank).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        refused.detail(),
        "The service is not available, try again later"
    );
    let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    assert!(bank.accounts.seen().is_empty(), "it was asked all the same");
    let open = breaker(&bank).await;
    assert_eq!(
        (&open["status"], &open["failureCount"]),
        (&json!("OPEN"), &json!(5))
    );
    // Another method of it is.
    bank.accounts.follows(Script::Answer);
    assert_eq!(
        answer(bank.signed("GET", "/api/account/me")).await.status,
        StatusCode::OK
    );
    let health = answer(bank.request("GET", "/health")).await;
    assert_eq!(
        (health.status, &health.json()["status"]),
        (StatusCode::OK, &json!("degraded"))
    );
    assert_eq!(health.json()["circuits_open"], json!(["account.requests"]));
    let status = look(&bank, "/services/status").await.json();
    assert_eq!(service(&status, "account.requests")["breaker"], "OPEN");
    // It is asked again by itself.
    let back = async {
        while balance(&bank).await.status != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, back).await.unwrap();
    assert_eq!(breaker(&bank).await["status"], "CLOSED");
}

#[tokio::test]
async fn a_breaker_is_reset_by_hand_and_health_is_always_asked() {
    let bank = Started::with(impatient, true, Some(ADMIN_SECRET)).await;
    bank.accounts.follows(Script::NeverAnswer);
    let open = async || {
        bank.accounts.follows(Script::NeverAnswer);
        while breaker(&bank).await["status"] != "OPEN" {
            balance(&bank).await;
        }
        bank.accounts.follows(Script::Answer);
    };
    let queue = json!({ "queue": "account.requests" });
    let method = json!({ "queue": "account.requests", "method": "balance" });
    for body in [json!({}), queue, method] {
        open().await;
        // However often its health was no answer.
        let health = answer(bank.request("GET", "/api/account/health")).await;
        assert_eq!(health.status, StatusCode::OK);
        let other = act(
            &bank,
            "/circuit-breakers/reset",
            json!({ "queue": "auth.requests" }),
        );
        assert_eq!(other.await.json(), json!({ "reset": 0 }));
        let told = act(&bank, "/circuit-breakers/reset", body).await;
        assert_eq!(
            (told.status, told.json()),
            (StatusCode::OK, json!({ "reset": 1 }))
        );
        assert_eq!(balance(&bank).await.status, StatusCode::OK);
    }
    for (body, named) in [
        (
            json!({ "queue": "nobody.requests" }),
            "queue: one of auth.requests, account.requests",
        ),
        (
            json!({ "queue": "auth.requests", "method": "balance" }),
            "method: one of register",
        ),
        (json!({ "method": "balance" }), "queue: is required"),
        (json!({ "queue": 7 }), "queue: a text"),
    ] {
        let told = act(&bank, "/circuit-breakers/reset", body).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST);
        assert!(told.detail().starts_with(named), "{}", told.text);
    }
}

#[tokio::test]
async fn what_a_service_answers_opens_no_breaker() {
    let bank = bank().await;
    for _ in 0..20 {
        bank.accounts.follows(Script::Refuse(
            contracts::account::AccountError::InsufficientBalance,
        ));
        let told = answer(
            bank.signed("POST", "/api/account/withdraw")
                .json(&json!({ "amount": 5 })),
        );
        assert_eq!(told.await.status, StatusCode::BAD_REQUEST);
    }
    let states = look(&bank, "/circuit-breakers").await.json();
    for (queue, of) in states.as_object().unwrap() {
        for (method, state) in of["patterns"].as_object().unwrap() {
            assert_eq!(state["status"], "CLOSED", "{queue} {method}");
        }
    }
}

fn service<'a>(status: &'a Value, queue: &str) -> &'a Value {
    let services = status["services"].as_array().unwrap();
    let found = services.iter().find(|service| service["queue"] == queue);
    found.unwrap_or_else(|| panic!("{queue} is not in {status}"))
}

#[tokio::test]
async fn it_says_who_serves_what() {
    let bank = bank().await;
    let status = look(&bank, "/services/status").await;
    assert_eq!(status.status, StatusCode::OK, "{}", status.text);
    let status = status.json();
    assert_eq!(status["registry"], true);
    assert_eq!(status["gateway"]["service"], "api-producer");
    let accounts = service(&status, "account.requests");
    assert_eq!(
        (&accounts["service"], &accounts["status"]),
        (&json!("account-service"), &json!("up"))
    );
    for (part, expected) in [
        ("queue_depth", json!(0)),
        ("consumers", json!(1)),
        ("dead_letters", json!(0)),
        ("in_flight", json!(0)),
        ("breaker", json!("CLOSED")),
    ] {
        assert_eq!(accounts[part], expected, "{part}");
    }
    let [instance] = &accounts["instances"].as_array().unwrap()[..] else {
        panic!("{accounts}")
    };
    assert!(instance["last_seen"].is_string() && instance["started_at"].is_string());
    assert_eq!(instance["process"], std::process::id());
    // Nobody serves these in this test.
    assert_eq!(service(&status, "account.months")["status"], "unknown");
    assert_eq!(service(&status, "account.months")["breaker"], Value::Null);
    // A look is good for a second, whoever asks.
    let again = look(&bank, "/services/status").await.json();
    assert_eq!(again["timestamp"], status["timestamp"]);
}

#[tokio::test]
async fn the_queues_that_are_named_are_those_that_are_served() {
    let platform = Platform::connect("bank", PlatformSettings::default());
    let platform = platform.await.unwrap();
    let feed = Feed::open(&platform).unwrap();
    let ttl = Duration::from_secs(60);
    let running = [
        auth_service::start(&platform, ttl).await.unwrap(),
        account_service::start(&platform).await.unwrap(),
        notification_service::start(&platform, &feed).await.unwrap(),
        transfer_service::start(&platform).await.unwrap(),
    ];
    let served = platform.bus.services().await.unwrap();
    for served in &served {
        let version = served.instances[0].version.as_deref();
        assert_eq!(version, Some(env!("CARGO_PKG_VERSION")), "{}", served.queue);
    }
    let mut served: BTreeSet<_> = served.into_iter().map(|served| served.queue).collect();
    served.insert(contracts::notification::GROUP.to_owned());
    let named: BTreeSet<_> = QUEUES.iter().map(|of| of.queue.to_owned()).collect();
    assert_eq!(served, named);
    for of in QUEUES {
        let state = platform.bus.inspect(of.queue).await.unwrap().unwrap();
        assert_eq!(state.consumers, 1, "{}", of.queue);
    }
    running
        .into_iter()
        .fold(Running::new(), Running::with)
        .stop()
        .await;
}

#[tokio::test]
async fn all_of_it_is_told_as_it_changes_until_the_gateway_stops() {
    let bank = bank().await;
    let request = bank.request("GET", "/services/status/live");
    let response = request
        .header("X-Admin-Secret", ADMIN_SECRET)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.bytes_stream();
    let mut event = async || {
        let mut text = String::new();
        while !text.ends_with("\n\n") {
            let chunk = body.next().await?.unwrap();
            text += std::str::from_utf8(&chunk).unwrap();
        }
        let data = text
            .strip_prefix("event: status\ndata: ")
            .unwrap()
            .to_owned();
        Some(serde_json::from_str::<Value>(&data).unwrap())
    };
    let first = event().await.unwrap();
    assert_eq!(
        service(&first, "auth.requests")["calls_per_second"],
        Value::Null
    );
    assert_eq!(balance(&bank).await.status, StatusCode::OK);
    let second = event().await.unwrap();
    let rate = service(&second, "account.requests")["calls_per_second"].as_f64();
    assert!(rate.unwrap() > 0.0, "{second}");
    assert!(second["gateway"]["requests"].is_object(), "{second}");
    assert!(second["timestamp"].as_str() > first["timestamp"].as_str());
    let stopping = tokio::spawn(bank.running.stop());
    let ended = async { while event().await.is_some() {} };
    tokio::time::timeout(SOON, ended).await.unwrap();
    stopping.await.unwrap();
}

/// A command whose handler panics, which makes it a letter.
async fn one_letter(bank: &Started) -> Value {
    bank.transfers.follows(Script::Panic);
    let body = json!({ "to_username": "bob", "amount": 5, "reference": "rent" });
    let request = bank.signed("POST", "/api/transfer/transfer").json(&body);
    let told = answer(request.header("Idempotency-Key", "my own key")).await;
    assert_eq!(told.status, StatusCode::BAD_GATEWAY, "{}", told.text);
    letters(bank, 1).await
}

/// What is listed, once there are so many.
async fn letters(bank: &Started, total: u64) -> Value {
    let there = async {
        loop {
            let told = look(bank, "/dead-letters?queue=transfer.requests").await;
            assert_eq!(told.status, StatusCode::OK, "{}", told.text);
            let told = told.json();
            if told["total"] == total {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, there).await.unwrap()
}

#[tokio::test]
async fn a_letter_is_read_without_its_secrets_put_back_and_thrown_away() {
    let bank = bank().await;
    assert_eq!(
        look(&bank, "/dead-letters?queue=auth.requests")
            .await
            .json()["total"],
        0
    );
    let listed = one_letter(&bank).await;
    let letter = &listed["letters"][0];
    assert_eq!(
        (&letter["method"], &letter["reason"]),
        (&json!("transfer"), &json!("panicked"))
    );
    assert_eq!(letter["arguments"]["order"]["amount"], 5);
    assert_eq!(letter["arguments"]["order"]["key"], "(hidden)");
    for secret in ["my own key", "a.b.c"] {
        assert!(!listed.to_string().contains(secret), "{listed}");
    }
    let status = look(&bank, "/services/status").await.json();
    assert_eq!(service(&status, "transfer.requests")["dead_letters"], 1);

    // Put back, it is handled by whoever can.
    bank.transfers.follows(Script::Answer);
    assert_eq!(bank.transfers.seen().len(), 1);
    let id = letter["id"].as_str().unwrap();
    let other = json!({ "queue": "transfer.requests", "id": crate::services::ID });
    let told = act(&bank, "/dead-letters/redrive", other).await;
    assert_eq!(told.json()["redriven"], 0);
    let this = json!({ "queue": "transfer.requests", "id": id });
    let told = act(&bank, "/dead-letters/redrive", this).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.text);
    assert_eq!(
        (&told.json()["redriven"], &told.json()["needs_twice"]),
        (&json!(1), &json!(false))
    );
    letters(&bank, 0).await;
    let handled = async {
        while bank.transfers.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, handled).await.unwrap();

    one_letter(&bank).await;
    let all = json!({ "queue": "transfer.requests", "all": true });
    let told = act(&bank, "/dead-letters/purge", all).await;
    assert_eq!(told.json(), json!({ "purged": 1 }));
    letters(&bank, 0).await;
}

#[tokio::test]
async fn letters_are_never_dealt_with_by_mistake() {
    let bank = bank().await;
    one_letter(&bank).await;
    for path in ["/dead-letters/redrive", "/dead-letters/purge"] {
        for (body, named) in [
            (json!({}), "queue: is required"),
            (
                json!({ "queue": "other", "all": true }),
                "queue: one of auth.requests",
            ),
            (json!({ "queue": "transfer.requests" }), "id: either it or"),
            (
                json!({ "queue": "transfer.requests", "all": false }),
                "id: either it or",
            ),
            (
                json!({ "queue": "transfer.requests", "all": true, "id": "x" }),
                "id: either it or",
            ),
            (
                json!({ "queue": "transfer.requests", "all": "yes" }),
                "all: true or false",
            ),
        ] {
            let told = act(&bank, path, body).await;
            assert_eq!(told.status, StatusCode::BAD_REQUEST, "{path}");
            assert!(told.detail().starts_with(named), "{}", told.text);
        }
    }
    for (path, named) in [
        ("/dead-letters", "queue: is required"),
        (
            "/dead-letters?queue=amq.gen-x",
            "queue: one of auth.requests",
        ),
    ] {
        let told = look(&bank, path).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST);
        assert!(told.detail().starts_with(named), "{}", told.text);
    }
    letters(&bank, 1).await;
}

#[tokio::test]
async fn what_waits_until_it_is_due_is_listed() {
    let bank = bank().await;
    assert_eq!(look(&bank, "/delayed-messages").await.json(), json!([]));
    let clients = contracts::auth::AuthClient::new(&bank.platform.bus);
    clients
        .logout()
        .send_after(Duration::from_secs(600))
        .await
        .unwrap();
    let there = async {
        loop {
            let told = look(&bank, "/delayed-messages").await;
            assert_eq!(told.status, StatusCode::OK, "{}", told.text);
            let told = told.json();
            if told != json!([]) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let told = tokio::time::timeout(SOON, there).await.unwrap();
    assert_eq!(
        (&told[0]["queue"], &told[0]["total"]),
        (&json!("auth.requests"), &json!(1))
    );
    let message = &told[0]["messages"][0];
    assert_eq!(
        (&message["method"], &message["kind"]),
        (&json!("logout"), &json!("call"))
    );
    assert!(message["due_at"].is_string());
}

#[queue_handler("account.months")]
trait MonthJobs {
    #[command(job = "1h")]
    async fn make(&self, statement: u32) -> Result<(), Never>;
}

/// Says how far it is, and makes nothing until it is cancelled.
struct Slow;

impl MonthJobs for Slow {
    async fn make(&self, statement: u32) -> Result<(), Never> {
        let context = Context::current();
        context.progress(u64::from(statement), 12, "a user's name");
        context.cancelled().await;
        Ok(())
    }
}

#[tokio::test]
async fn a_job_that_runs_is_listed_and_can_be_cancelled() {
    let bank = bank().await;
    let bus = &bank.platform.bus;
    assert_eq!(look(&bank, "/jobs").await.json(), json!([]));
    let serving = bank.platform.serve_anybody(MonthJobsServer::new(Slow));
    let serving = serving.unwrap().await.unwrap();
    let ticket = MonthJobsClient::new(bus).make(3).submit().await.unwrap();
    ticket.progress(bus).next().await.unwrap();
    let listed = look(&bank, "/jobs").await.json();
    let of = &listed[0];
    let job = &of["jobs"][0];
    assert_eq!(of["queue"], "account.months");
    assert_eq!(job["id"], ticket.call_id().to_string());
    assert_eq!((&job["method"], &job["run"]), (&json!("make"), &json!(1)));
    assert_eq!((&job["done"], &job["total"]), (&json!(3), &json!(12)));
    assert!(job["since"].is_string(), "{job}");
    assert!(!listed.to_string().contains("a user's name"));

    let cancel = async |queue: &str, id: &str| {
        act(&bank, "/jobs/cancel", json!({ "queue": queue, "id": id })).await
    };
    let id = ticket.call_id().to_string();
    let elsewhere = cancel("transfer.requests", &id).await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
    for (queue, id, named) in [
        ("account.mon", id.as_str(), "queue: one of auth.requests"),
        ("account.months", "17", "id: the id of a job is needed"),
    ] {
        let told = cancel(queue, id).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST);
        assert!(told.detail().starts_with(named), "{}", told.text);
    }
    let told = cancel("account.months", &id).await;
    assert_eq!(told.json(), json!({ "cancelled": "told" }));
    ticket.wait(bus).await.unwrap();
    assert_eq!(look(&bank, "/jobs").await.json(), json!([]));
    assert_eq!(
        cancel("account.months", &id).await.status,
        StatusCode::NOT_FOUND
    );
    serving.shutdown().await.unwrap();
}

#[tokio::test]
async fn nobody_but_the_administrator_sees_or_does_any_of_it() {
    let bank = bank().await;
    for (method, path) in [
        ("GET", "/services/status"),
        ("GET", "/services/status/live"),
        ("GET", "/circuit-breakers"),
        ("POST", "/circuit-breakers/reset"),
        ("GET", "/dead-letters?queue=auth.requests"),
        ("POST", "/dead-letters/redrive"),
        ("POST", "/dead-letters/purge"),
        ("GET", "/delayed-messages"),
        ("GET", "/jobs"),
        ("POST", "/jobs/cancel"),
    ] {
        let told = answer(bank.signed(method, path)).await;
        assert_eq!(told.status, StatusCode::FORBIDDEN, "{path}");
        let guess = bank
            .signed(method, path)
            .header("X-Admin-Secret", "a guess");
        let told = answer(guess).await;
        let is_refused =
            [StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS].contains(&told.status);
        assert!(is_refused, "{path}: {}", told.status);
    }
}
