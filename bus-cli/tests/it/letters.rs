//! Dead letters, dealt with.

use crate::shop::{Counter, QUEUE, ShopClient, ShopServer, Site};
use replybus_testkit::wait::eventually;
use std::sync::atomic::Ordering;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_shown_with_their_bodies_put_back_and_thrown_away() {
    let Some(site) = Site::open("cli-letters").await else {
        return;
    };
    let counter = Counter::default();
    counter.broken.store(true, Ordering::SeqCst);
    let serving = site
        .bus
        .serve(ShopServer::new(counter.clone()))
        .await
        .unwrap();
    let shop = ShopClient::new(&site.bus);
    for pieces in 1..=3 {
        let order = shop.order("tea".to_owned(), pieces);
        order
            .idempotency_key(pieces.to_string())
            .send()
            .await
            .unwrap();
    }
    site.letters(3).await;

    let dlq =
        async |what: &str, more: &[&str]| site.run(&[&["dlq", what, QUEUE], more].concat()).await;
    let listed = dlq("list", &["--reason", "panicked"]).await;
    assert!(listed.text().contains("3 of 3 letters"), "{listed:?}");
    let all = dlq("list", &["--json"]).await.json();
    let letters = all["letters"].as_array().unwrap();
    assert_eq!(letters.len(), 3);
    // In JSON, though it was sent in MessagePack; in the order in which they failed.
    let second = letters
        .iter()
        .find(|letter| letter["body"]["pieces"] == 2)
        .unwrap();
    let id = second["id"].as_str().unwrap();
    let shown = dlq("show", &[id]).await;
    for part in [id, "panicked", "\"pieces\": 2"] {
        assert!(shown.text().contains(part), "{part}: {shown:?}");
    }
    for nothing in [
        &["--older-than", "1h"][..],
        &["--method", "price"],
        &["--reason", "handler"],
    ] {
        let none = dlq("list", &[nothing, &["--json"]].concat()).await.json();
        assert_eq!(
            none["letters"].as_array().map(Vec::len),
            Some(0),
            "{nothing:?}"
        );
    }

    let rehearsed = dlq("redrive", &["--dry-run", "--limit", "2"]).await;
    assert!(
        rehearsed.text().contains("2 would be put back"),
        "{rehearsed:?}"
    );
    site.letters(3).await;
    counter.broken.store(false, Ordering::SeqCst);
    let put_back = dlq("redrive", &["--id", id, "--json"]).await.json();
    assert_eq!(
        (&put_back["redriven"], &put_back["stayed"]),
        (&1.into(), &0.into())
    );
    eventually("it was run", || async {
        counter.orders.load(Ordering::SeqCst) == 1
    })
    .await;
    site.letters(2).await;

    let unasked = dlq("purge", &[]).await;
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert!(unasked.err.contains("throw 2 letters away") && unasked.err.contains("--yes"));
    site.letters(2).await;
    assert!(
        dlq("purge", &["--yes"])
            .await
            .text()
            .contains("2 were thrown away")
    );
    site.letters(0).await;
    assert_eq!(site.run(&["dlq", "list", "no.such.queue"]).await.code, 1);
    serving.shutdown().await.unwrap();
    site.close().await;
}
