//! Jobs that run, listed and cancelled.

use crate::shop::{Counter, QUEUE, ShopServer, Site};
use replybus_testkit::wait::{eventually, until};
use serde_json::json;
use std::sync::atomic::Ordering;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_runs_is_listed_and_can_be_cancelled() {
    let Some(site) = Site::open("cli-jobs").await else {
        return;
    };
    let list = async || site.run(&["jobs", "list", QUEUE]).await;
    let nobody = list().await;
    assert_eq!(nobody.code, 1, "{nobody:?}");
    assert!(nobody.err.contains("nobody answers"), "{nobody:?}");
    let counter = Counter::default();
    let serving = site.bus.serve(ShopServer::new(counter.clone()));
    let serving = serving.await.unwrap();
    assert!(list().await.text().contains("no job runs for"));

    let submitted = site.run(&["call", QUEUE, "stocktaking", "--submit"]).await;
    assert_eq!(submitted.code, 0, "{submitted:?}");
    let listed = until("it says how far it is", async || {
        let listed = site.run(&["jobs", "list", QUEUE, "--json"]).await.json();
        let job = listed[0].clone();
        job["progress"].is_object().then_some(job).ok_or(listed)
    })
    .await;
    assert_eq!(
        (&listed["method"], &listed["run"]),
        (&json!("stocktaking"), &json!(1))
    );
    assert_eq!(listed["progress"]["note"], "shelves");
    let text = list().await;
    assert!(text.text().contains("1 of 2, shelves"), "{text:?}");

    let id = listed["id"].as_str().unwrap();
    let told = site.run(&["jobs", "cancel", QUEUE, id]).await;
    assert_eq!(told.json(), json!({ "cancelled": "told" }));
    eventually("it knows", async || {
        counter.cancelled.load(Ordering::SeqCst)
    })
    .await;
    counter.may_end.store(true, Ordering::SeqCst);
    eventually("it is over", async || {
        list().await.text().contains("no job runs")
    })
    .await;
    let again = site.run(&["jobs", "cancel", QUEUE, id]).await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("no job with this id runs"), "{again:?}");
    serving.shutdown().await.unwrap();
    site.close().await;
}
