//! Calls that are watched.

use crate::{
    program,
    shop::{Counter, QUEUE, ShopClient, ShopServer, Site},
};
use replybus_testkit::wait::bounded;
use serde_json::Value;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_printed_as_they_end_and_none_is_taken_from_anybody() {
    let Some(site) = Site::open("cli-watch").await else {
        return;
    };
    let nobody = site.run(&["watch", QUEUE]).await;
    assert_eq!(nobody.code, 1);
    assert!(nobody.err.contains("nobody answers"), "{nobody:?}");

    let counter = Counter::default();
    let serving = site
        .bus
        .serve(ShopServer::new(counter.clone()))
        .await
        .unwrap();
    let watch = async |more: &[&str]| {
        let arguments = [&["watch", QUEUE], more].concat();
        let mut watching = program::command(&site.environment(), &arguments)
            .spawn()
            .unwrap();
        let mut told = BufReader::new(watching.stderr.take().unwrap()).lines();
        let first = bounded(told.next_line()).await.unwrap().unwrap();
        assert!(first.contains("watching 1 instances"), "{first}");
        (watching, told)
    };
    let (all, _told) = watch(&["--json", "--limit", "3"]).await;
    let (mut failed, _told_too) = watch(&["--failed", "--method", "price"]).await;
    let shop = ShopClient::new(&site.bus);
    let order = shop.order("secret tea".to_owned(), 2);
    order.idempotency_key("order-17").await.unwrap();
    shop.price("tea".to_owned()).await.unwrap();
    shop.price("gold".to_owned()).await.unwrap_err();

    let all = bounded(all.wait_with_output()).await.unwrap();
    assert!(all.status.success());
    let text = String::from_utf8(all.stdout).unwrap();
    assert!(!text.contains("secret") && !text.contains("order-17"));
    let calls: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let outcomes: Vec<_> = calls
        .iter()
        .map(|call| {
            assert!(
                call["took_ms"].is_f64() && call["waited_ms"].is_f64(),
                "{call}"
            );
            assert!(call["id"].is_string() && call["missed"] == 0, "{call}");
            let text = |name: &str| call[name].as_str().unwrap().to_owned();
            (text("method"), text("outcome"))
        })
        .collect();
    let expected = [("order", "ok"), ("price", "ok"), ("price", "handler")];
    assert_eq!(
        outcomes,
        expected.map(|(method, outcome)| (method.to_owned(), outcome.to_owned()))
    );
    assert_eq!(counter.orders.load(Ordering::SeqCst), 1);

    let mut lines = BufReader::new(failed.stdout.take().unwrap()).lines();
    let line = bounded(lines.next_line()).await.unwrap().unwrap();
    for part in ["price", "handler", "waited"] {
        assert!(line.contains(part), "{line}");
    }
    #[cfg(unix)]
    {
        let id = failed.id().unwrap().to_string();
        let kill = std::process::Command::new("kill")
            .args(["-INT", &id])
            .status();
        assert!(kill.unwrap().success());
        let ended = bounded(failed.wait()).await.unwrap();
        assert_eq!(ended.code(), Some(130));
        assert_eq!(bounded(lines.next_line()).await.unwrap(), None);
    }

    for (bad, code) in [
        (&["watch", "a b"][..], 1),
        (&["watch", QUEUE, "--rate", "0"], 2),
        (&["watch", QUEUE, "--instance", "me"], 2),
    ] {
        let refused = site.run(bad).await;
        assert_eq!(refused.code, code, "{refused:?}");
    }
    serving.shutdown().await.unwrap();
    site.close().await;
}
