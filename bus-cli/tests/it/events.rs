//! Events by hand.

use crate::{program, shop::Site};
use replybus_testkit::wait::bounded;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_emitted_is_heard_by_who_listens_and_nothing_is_left() {
    let Some(site) = Site::open("cli-events").await else {
        return;
    };
    let listen = ["listen", "order.*", "--count", "2"];
    let mut listening = program::command(&site.environment(), &listen)
        .spawn()
        .unwrap();
    let mut told = BufReader::new(listening.stderr.take().unwrap()).lines();
    let first = bounded(told.next_line()).await.unwrap().unwrap();
    assert!(first.contains("listening"), "{first}");

    for (event, body) in [
        ("order.placed", "{\"n\":1}"),
        ("other.placed", "1"),
        ("order.paid", "[2]"),
    ] {
        let emitted = site.run(&["emit", event, body]).await.json();
        assert!(emitted["id"].is_string());
    }
    let heard = bounded(listening.wait_with_output()).await.unwrap();
    assert!(heard.status.success());
    let lines: Vec<Value> = String::from_utf8(heard.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events: Vec<_> = lines
        .iter()
        .map(|line| (&line["event"], &line["body"]))
        .collect();
    let (placed, paid) = (json!("order.placed"), json!("order.paid"));
    assert_eq!(
        events,
        [(&placed, &json!({ "n": 1 })), (&paid, &json!([2]))]
    );

    for (bad, code) in [
        (&["emit", "order.*", "1"][..], 1),
        (&["emit", "order.placed", "{"], 2),
        (&["emit", "order.placed", "1", "--mandatory"], 1),
        (&["listen", "a b"], 1),
    ] {
        let refused = site.run(bad).await;
        assert_eq!(refused.code, code, "{refused:?}");
        assert_eq!(refused.err.lines().count(), 1, "{refused:?}");
    }
    site.close().await;
}
