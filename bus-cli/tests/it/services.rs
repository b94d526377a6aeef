//! Who serves, as it is shown.

use crate::shop::{Counter, QUEUE, ShopServer, Site};
use replybus_testkit::{
    live::require_or_skip,
    servers::{Persistence, PrivateRedis},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_is_listed_with_its_instances_and_methods() {
    let Some(site) = Site::open("cli-services").await else {
        return;
    };
    let nothing = site.run(&["services"]).await;
    assert!(nothing.text().contains("nothing is served"), "{nothing:?}");
    let absent = site.run(&["services", QUEUE]).await;
    assert_eq!(absent.code, 1);
    assert!(absent.err.contains("no such queue"), "{absent:?}");

    let serving = site.bus.serve(ShopServer::new(Counter::default()));
    let serving = serving.version("1.4.0").await.unwrap();
    let listed = site.run(&["services"]).await;
    let text = listed.text();
    assert!(text.contains(QUEUE) && text.contains("1.4.0"), "{text}");

    let all = site.run(&["services", "--json"]).await.json();
    assert_eq!(all[0]["queue"], QUEUE);
    let one = &all[0]["instances"][0];
    assert_eq!(
        (&one["service"], &one["state"]),
        (&"Shop".into(), &"serving".into())
    );

    let shown = site.run(&["services", QUEUE]).await;
    let id = one["id"].as_str().unwrap();
    for part in [id, "price", "stocktaking", "serving", "1.4.0"] {
        assert!(shown.text().contains(part), "{part}: {shown:?}");
    }
    serving.shutdown().await.unwrap();
    let left = site.run(&["services", QUEUE]).await;
    assert!(left.err.contains("nobody serves it"), "{left:?}");
    site.close().await;
}

/// A key of ours that somebody else wrote hides what it is about, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_type_is_named_and_the_other_queues_are_listed() {
    let redis = PrivateRedis::start(Persistence::None).await;
    let Some(redis) = require_or_skip(redis) else {
        return;
    };
    let Some(site) = Site::on_redis("cli-wrong-type", redis.url()).await else {
        return;
    };
    let serving = site.bus.serve(ShopServer::new(Counter::default()));
    let serving = serving.await.unwrap();
    let scope = format!("replybus:{}.instances", site.namespace);
    let key = format!("{scope}:{{spoiled.requests}}:until");
    let (queues, far) = (format!("{scope}:queues"), "99999999999999");
    redis.cli(&["SET", &key, "mine"]).await.unwrap();
    redis
        .cli(&["ZADD", &queues, far, "spoiled.requests"])
        .await
        .unwrap();

    for line in [&["services"][..], &["services", "--json"]] {
        let listed = site.run(line).await;
        assert_eq!(listed.code, 1, "{listed:?}");
        assert!(listed.out.contains(QUEUE), "{listed:?}");
        assert!(listed.out.contains("unknown"), "{listed:?}");
        assert!(listed.err.contains(&key), "{listed:?}");
    }
    let checked = site.run(&["check"]).await;
    assert!(checked.out.contains(&key), "{checked:?}");
    redis.cli(&["DEL", &key]).await.unwrap();
    assert_eq!(site.run(&["services"]).await.code, 0);
    // The records of what became of calls are one key.
    let flight = format!("replybus:{}.flight", site.namespace);
    redis.cli(&["SET", &flight, "mine"]).await.unwrap();
    let explained = site.run(&["explain", "--slowest"]).await;
    assert!(explained.err.contains(&flight), "{explained:?}");
    serving.shutdown().await.unwrap();
    site.close().await;
}
