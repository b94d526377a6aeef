//! A system as a whole: checked, measured, watched.

use crate::{
    program,
    shop::{Counter, QUEUE, ShopClient, ShopServer, Site},
};
use replybus_testkit::servers::ReservedPort;
use serde_json::Value;
use std::sync::atomic::Ordering;

fn states<'a>(found: &'a Value, what: &str) -> Vec<&'a str> {
    let all = found.as_array().unwrap().iter();
    let of = all.filter(|finding| finding["what"] == what);
    of.map(|finding| finding["state"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_says_of_each_thing_how_it_is() {
    let Some(site) = Site::open("cli-check").await else {
        return;
    };
    let check = async || -> Value {
        // Settings of the shared Redis may be wrong.
        let found = site.run(&["check", "--json"]).await;
        serde_json::from_str(&found.out).unwrap_or_else(|_| panic!("{found:?}"))
    };
    assert_eq!(states(&check().await, "services"), ["note"]);
    let counter = Counter::default();
    let serving = site
        .bus
        .serve(ShopServer::new(counter.clone()))
        .await
        .unwrap();
    let found = check().await;
    for what in [
        "RabbitMQ",
        "RabbitMQ rights",
        "Redis",
        "Redis version",
        QUEUE,
        "shop.requests.dead",
    ] {
        assert_eq!(states(&found, what), ["ok"], "{what}: {found}");
    }
    counter.broken.store(true, Ordering::SeqCst);
    ShopClient::new(&site.bus)
        .order("tea".to_owned(), 1)
        .send()
        .await
        .unwrap();
    site.letters(1).await;
    assert_eq!(states(&check().await, "shop.requests.dead"), ["note"]);
    serving.shutdown().await.unwrap();
    site.close().await;
}

#[tokio::test]
async fn servers_that_are_not_there_are_found_wrong() {
    let nobody = ReservedPort::new().unwrap();
    let [amqp, redis] = ["amqp", "redis"].map(|scheme| {
        let path = if scheme == "amqp" { "%2f" } else { "0" };
        format!("{scheme}://ada:hunter2@{}/{path}", nobody.address())
    });
    let environment = [("AMQP_URL", &*amqp), ("REDIS_URL", &*redis)];
    let found = program::run(&environment, &["check"], "").await;
    assert_eq!(found.code, 1, "{found:?}");
    assert_eq!(found.out.matches("WRONG").count(), 2, "{found:?}");
    assert!(
        !found.out.contains("hunter2") && found.err.is_empty(),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_is_measured_and_its_service_is_seen_at_work() {
    let Some(site) = Site::open("cli-bench").await else {
        return;
    };
    let serving = site
        .bus
        .serve(ShopServer::new(Counter::default()))
        .await
        .unwrap();
    let bench = ["bench", QUEUE, "price", "{\"article\":\"tea\"}", "--query"];
    let bench = [&bench[..], &["--callers", "4", "--duration", "300ms"]].concat();
    let measured = site.run(&[&bench[..], &["--json"]].concat()).await.json();
    assert!(measured["answered"].as_u64().unwrap() > 0, "{measured}");
    assert!(measured["p50_ms"].as_f64().unwrap() <= measured["p99_ms"].as_f64().unwrap());
    assert!(site.run(&bench).await.text().contains("a second"));
    let unknown = site
        .run(&["bench", QUEUE, "steal", "--duration", "2s"])
        .await;
    assert_eq!(unknown.code, 1);
    assert!(unknown.out.contains("unknown_method"), "{unknown:?}");

    let top = ["top", "--once", "--every", "200ms"];
    let seen = site.run(&[&top[..], &["--json"]].concat()).await.json();
    assert_eq!(
        (&seen[0]["queue"], &seen[0]["instances"]),
        (&QUEUE.into(), &1.into())
    );
    assert_eq!(seen[0]["consumers"], 1);
    // Nothing was called between the two looks.
    assert_eq!(seen[0]["errors_per_second"], 0.0);
    assert!(seen[0]["p99_ms"].is_null(), "{seen}");
    let table = site.run(&top).await;
    for column in ["CALLS/S", "ERRORS/S", "P99"] {
        assert!(table.text().contains(column), "{column}: {table:?}");
    }
    serving.shutdown().await.unwrap();
    site.close().await;
}

#[tokio::test]
async fn shells_and_man_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = program::run(&[], &["completions", shell], "").await;
        assert!(script.text().contains("redrive"), "{shell}");
    }
    assert!(
        program::run(&[], &["man"], "")
            .await
            .text()
            .contains(".TH replybus")
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("man1");
    program::run(&[], &["man", path.to_str().unwrap()], "")
        .await
        .text();
    for page in ["replybus.1", "replybus-call.1", "replybus-dlq-redrive.1"] {
        assert!(path.join(page).is_file(), "{page}");
    }
}
