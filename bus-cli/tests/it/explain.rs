//! What became of a call, as it is explained.

use crate::shop::{Counter, ShopClient, ShopServer, Site};
use replybus::{CallId, flight::FlightRecord};
use std::sync::atomic::Ordering;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_explained_with_what_became_of_it_and_found_among_the_slowest() {
    let Some(site) = Site::recording("cli-explain", FlightRecord::new()).await else {
        return;
    };
    let counter = Counter::default();
    let serving = site.bus.serve(ShopServer::new(counter.clone()));
    let serving = serving.await.unwrap();
    let shop = ShopClient::new(&site.bus);
    counter.broken.store(true, Ordering::SeqCst);
    let id = shop.order("tea".to_owned(), 1).send().await.unwrap();
    site.letters(1).await;
    let id = id.to_string();

    // The letter is kept before it is recorded that it is.
    let mut explained = site.run(&["explain", &id]).await;
    while !explained.out.contains("dead letter") {
        explained = site.run(&["explain", &id]).await;
    }
    let text = explained.text();
    for part in [
        "Shop.order on shop.requests",
        &id,
        "panicked in ",
        "queued ",
        "ran ",
        "published",
        "confirmed by the broker",
        "taken from the queue",
        "claimed",
        "handler began",
        "handler ended: panicked",
        "dead letter: panicked",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    counter.broken.store(false, Ordering::SeqCst);
    shop.order("tea".to_owned(), 1).await.unwrap();
    let slowest = async || {
        let arguments = ["explain", "--slowest", "--queue", "shop.requests", "--json"];
        let slowest = site.run(&arguments).await.json();
        slowest.as_array().unwrap().clone()
    };
    let mut calls = slowest().await;
    while calls.len() < 2 || calls.iter().any(|call| call["took_us"].is_null()) {
        calls = slowest().await;
    }
    let order = calls.iter().find(|call| call["outcome"] == "ok").unwrap();
    let order = order["call"].as_str().unwrap();
    let mut all = site.run(&["explain", order, "--json"]).await.json();
    while all[0]["answering_us"].is_null() {
        all = site.run(&["explain", order, "--json"]).await.json();
    }
    assert_eq!(
        (&all[0]["method"], &all[0]["call"]),
        (&"order".into(), &order.into())
    );
    let steps = all[0]["events"].as_array().unwrap().iter();
    let steps: Vec<_> = steps.map(|event| event["step"].as_str().unwrap()).collect();
    assert!(
        steps.contains(&"claimed") && steps.contains(&"answered"),
        "{steps:?}"
    );
    let table = site.run(&["explain", "--slowest"]).await;
    assert!(table.text().contains(order) && table.text().contains("Shop.order"));
    let elsewhere = site
        .run(&["explain", "--slowest", "--queue", "other.requests"])
        .await;
    assert!(
        elsewhere.text().contains("no call is recorded"),
        "{elsewhere:?}"
    );
    serving.shutdown().await.unwrap();
    site.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_recorded_it_is_said_why_and_what_is_no_id_is_refused() {
    let Some(site) = Site::open("cli-unrecorded").await else {
        return;
    };
    let serving = site.bus.serve(ShopServer::new(Counter::default()));
    let serving = serving.await.unwrap();
    let shop = ShopClient::new(&site.bus);
    let id = shop.order("tea".to_owned(), 1).send().await.unwrap();
    for id in [id.to_string(), CallId::new().to_string().replace('-', "")] {
        let unknown = site.run(&["explain", &id]).await;
        assert_eq!(unknown.code, 1, "{unknown:?}");
        assert!(
            unknown.err.contains(&id) && unknown.err.contains("flight_record"),
            "{unknown:?}"
        );
    }
    let none = site.run(&["explain", "--slowest"]).await;
    assert!(none.text().contains("no call is recorded"), "{none:?}");
    for arguments in [
        &["explain"][..],
        &["explain", "17"],
        &["explain", &id.to_string(), "--slowest"],
        &["explain", &id.to_string(), "--queue", "shop.requests"],
    ] {
        assert_eq!(site.run(arguments).await.code, 2, "{arguments:?}");
    }
    serving.shutdown().await.unwrap();
    site.close().await;
}
