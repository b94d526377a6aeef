//! Calls by hand.

use crate::{
    program::{self, Ran},
    shop::{Counter, QUEUE, ShopServer, Site},
};
use replybus_testkit::wait::{bounded, eventually};
use serde_json::json;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_prints_its_answer_and_its_exit_code_tells_whose_error_it_is() {
    let Some(site) = Site::open("cli-calls").await else {
        return;
    };
    let absent = site
        .run(&["call", QUEUE, "price", "{\"article\":\"tea\"}"])
        .await;
    assert_eq!(absent.code, 1);
    assert!(absent.err.contains("it was not executed"), "{absent:?}");

    let counter = Counter::default();
    let serving = site
        .bus
        .serve(ShopServer::new(counter.clone()))
        .await
        .unwrap();
    let call = async |more: &[&str]| -> Ran { site.run(&[&["call", QUEUE], more].concat()).await };
    let price = call(&["price", "{\"article\":\"tea\"}", "--query"]).await;
    assert_eq!(price.json(), json!(450));

    let refused = call(&["price", "{\"article\":\"gold\"}", "--query"]).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    let error: serde_json::Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(error, json!({ "error": { "NoSuchArticle": "gold" } }));

    let unknown = call(&["steal", "--json"]).await;
    assert_eq!(unknown.code, 1);
    let failure: serde_json::Value = serde_json::from_str(&unknown.out).unwrap();
    assert_eq!(failure["failure"]["kind"], "unknown_method");
    assert_eq!(failure["failure"]["may_have_executed"], false);

    for bad in [
        &["price", "[1]"][..],
        &["price", "{"],
        &["price", "--key", "k", "--query"],
        &["price", "--send", "--submit"],
        &["price", "--after", "1h"],
        &["price", "--timeout", "soon"],
        &["price", "-m", "language"],
    ] {
        let refused = call(bad).await;
        assert_eq!(refused.code, 2, "{bad:?}: {refused:?}");
        assert!(
            refused.out.is_empty() && !refused.err.contains("panicked"),
            "{refused:?}"
        );
    }

    let language = call(&["language", "-m", "language=de"]).await;
    assert_eq!(language.json(), json!("de"));

    // Under a key a command is run once.
    let order = "{\"article\":\"tea\",\"pieces\":2}";
    for _ in 0..2 {
        assert_eq!(
            call(&["order", order, "--key", "order-17"]).await.json(),
            json!(1)
        );
    }
    let arguments = ["call", QUEUE, "order", "-"];
    let from_stdin = program::run(&site.environment(), &arguments, order).await;
    assert_eq!(from_stdin.json(), json!(2));

    let items = call(&["count_to", "{\"last\":3}", "--stream"]).await;
    assert_eq!(items.text(), "1\n2\n3\n");
    serving.shutdown().await.unwrap();
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_not_waited_for_has_an_id_or_a_ticket() {
    let Some(site) = Site::open("cli-tickets").await else {
        return;
    };
    let counter = Counter::default();
    let serving = site
        .bus
        .serve(ShopServer::new(counter.clone()))
        .await
        .unwrap();
    let order = "{\"article\":\"tea\",\"pieces\":2}";
    let sent = site
        .run(&["call", QUEUE, "order", order, "--send"])
        .await
        .json();
    assert!(sent["call_id"].is_string(), "{sent}");
    eventually("it was run", || async {
        counter.orders.load(Ordering::SeqCst) == 1
    })
    .await;

    let ticket = site
        .run(&["call", QUEUE, "stocktaking", "--submit"])
        .await
        .json()
        .to_string();
    let on_ticket = async |what: &str| {
        let arguments = ["ticket", what, "-"];
        program::run(&site.environment(), &arguments, &ticket).await
    };
    eventually("it says how far it is", || async {
        let status = on_ticket("status").await.json();
        status["status"] == "running" && status["progress"]["note"] == "shelves"
    })
    .await;
    let cancelled = on_ticket("cancel").await;
    assert_eq!(cancelled.code, 1, "it runs: {cancelled:?}");
    counter.may_end.store(true, Ordering::SeqCst);
    assert_eq!(on_ticket("wait").await.json(), json!(2));
    assert_eq!(on_ticket("status").await.json()["status"], "done");

    counter.may_end.store(false, Ordering::SeqCst);
    let arguments = ["call", QUEUE, "stocktaking", "--watch"];
    let mut watched = program::command(&site.environment(), &arguments)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watched.stderr.take().unwrap()).lines();
    let line = bounded(lines.next_line()).await.unwrap();
    assert_eq!(line.as_deref(), Some("1 of 2, shelves"));
    counter.may_end.store(true, Ordering::SeqCst);
    let ended = bounded(watched.wait_with_output()).await.unwrap();
    assert_eq!(ended.stdout, b"2\n");
    serving.shutdown().await.unwrap();
    site.close().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_interrupted_is_cancelled() {
    let Some(site) = Site::open("cli-interrupted").await else {
        return;
    };
    let counter = Counter::default();
    let serving = site
        .bus
        .serve(ShopServer::new(counter.clone()))
        .await
        .unwrap();
    let arguments = ["call", QUEUE, "forever", "--query", "--timeout", "10m"];
    let calling = program::command(&site.environment(), &arguments)
        .spawn()
        .unwrap();
    eventually("it was begun", || async {
        counter.begun.load(Ordering::SeqCst) == 1
    })
    .await;
    let process = calling.id().unwrap().to_string();
    let kill = std::process::Command::new("kill")
        .args(["-INT", &process])
        .status();
    assert!(kill.unwrap().success());
    let ended = bounded(calling.wait_with_output()).await.unwrap();
    assert_eq!(
        (ended.status.code(), ended.stdout, ended.stderr),
        (Some(130), vec![], vec![])
    );
    eventually("the query was dropped", || async {
        counter.dropped.load(Ordering::SeqCst) == 1
    })
    .await;
    serving.shutdown().await.unwrap();
    site.close().await;
}
