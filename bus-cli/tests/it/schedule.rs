//! What is delayed, listed and cancelled. Delays declare many queues, so the broker is a private one.

use crate::shop::{Counter, QUEUE, ShopServer, Site};
use replybus_testkit::wait::eventually;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_delayed_is_listed_and_can_be_cancelled() {
    let Some(site) = Site::open_private("cli-schedule").await else {
        return;
    };
    let serving = site
        .bus
        .serve(ShopServer::new(Counter::default()))
        .await
        .unwrap();
    let nothing = site.run(&["schedule", "list", QUEUE]).await;
    assert!(
        nothing.text().contains("nothing is known to wait"),
        "{nothing:?}"
    );

    let order = "{\"article\":\"tea\",\"pieces\":2}";
    let call = async |more: &[&str]| {
        let call = ["call", QUEUE, "order", order];
        site.run(&[&call, more].concat()).await.json()
    };
    let sent = call(&["--send", "--after", "1h"]).await;
    let submitted = call(&["--submit", "--after", "2h", "--key", "order-17"]).await;
    site.run(&["emit", "order.late", "1", "--after", "1h"])
        .await
        .json();
    let list = async |queue: &str| -> Vec<Value> {
        let listed = site
            .run(&["schedule", "list", queue, "--json"])
            .await
            .json();
        listed.as_array().unwrap().clone()
    };
    eventually("all are listed", || async { list(QUEUE).await.len() == 2 }).await;
    let listed = list(QUEUE).await;
    assert_eq!(listed[0]["id"], sent["call_id"]);
    assert_eq!(listed[1]["id"], submitted["call_id"]);
    assert_eq!(
        (&listed[0]["keyed"], &listed[1]["keyed"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(list("order.late").await[0]["kind"], "event");
    assert!(
        site.run(&["schedule", "list", QUEUE])
            .await
            .text()
            .contains("order")
    );

    let cancel = async |listed: &Value, more: &[&str]| {
        let id = listed["id"].as_str().unwrap();
        site.run(&[&["schedule", "cancel", QUEUE, id], more].concat())
            .await
    };
    let cancelled = cancel(&listed[0], &[]).await.json();
    assert_eq!(cancelled, json!({ "cancelled": "never_started" }));
    let without_key = cancel(&listed[1], &[]).await;
    assert_eq!(without_key.code, 2, "{without_key:?}");
    assert!(without_key.err.contains("--key"), "{without_key:?}");
    assert_eq!(cancel(&listed[1], &["--key", "order-17"]).await.code, 0);
    eventually("none is listed", || async { list(QUEUE).await.is_empty() }).await;
    assert_eq!(cancel(&listed[0], &[]).await.code, 1);
    serving.shutdown().await.unwrap();
    site.close().await;
}
