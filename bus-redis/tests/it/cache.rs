//! Answers that are kept for others, on every kind of deployment; and what is in Redis that the store
//! did not write, or not so.

use crate::opened::{open, private, raw};
use deadpool_redis::redis::{self, aio::MultiplexedConnection};
use replybus::{
    Bytes, CallId,
    message::Text,
    reply::{CacheEntry, CacheFound, CacheKey, CacheLookup, ReplyStore},
};
use replybus_redis::RedisReplies;
use replybus_testkit::{live, wait::bounded};
use std::{sync::Arc, time::Duration};

const MINUTE: Duration = Duration::from_secs(60);

fn lookup(queue: &str, name: &str) -> CacheLookup {
    let tags = ["a", "b", "c"].map(Text::from).to_vec();
    CacheLookup::new(
        CacheKey::new(queue, name, tags),
        CallId::new().to_string(),
        MINUTE,
    )
}

async fn turn(store: &Arc<dyn ReplyStore>, lookup: &CacheLookup) -> Bytes {
    match store.look_up(lookup).await.unwrap() {
        CacheFound::Missing { versions } => versions,
        other => panic!("{other:?}"),
    }
}

/// Takes every way through the scripts, on queues that are in all slots.
pub(crate) async fn kept_and_invalidated(replies: &RedisReplies) {
    let (one, _) = open(replies).await;
    let (other, _) = open(replies).await;
    for number in 0..8 {
        let queue = live::unique(&format!("cache{number}"));
        let first = lookup(&queue, "get:1");
        let versions = turn(&one, &first).await;
        one.hold_turn(&first).await.unwrap();
        let second = lookup(&queue, "get:1");
        assert_eq!(other.look_up(&second).await.unwrap(), CacheFound::Awaited);
        let entry = CacheEntry::ended(&first, versions.clone()).keep("pen".into(), MINUTE);
        assert!(one.end_turn(&entry).await.unwrap());
        let kept = other.look_up(&second).await.unwrap();
        assert_eq!(kept, CacheFound::Answer("pen".into()));
        other
            .invalidate(&queue, &["b".into(), "c".into()])
            .await
            .unwrap();
        assert_ne!(turn(&other, &second).await, versions);
        assert!(!one.end_turn(&entry).await.unwrap());
    }
}

#[tokio::test]
async fn an_answer_is_kept_and_invalidated() {
    let Some(url) = live::redis().await else {
        return;
    };
    bounded(kept_and_invalidated(&RedisReplies::new(url))).await;
}

async fn set(admin: &mut MultiplexedConnection, arguments: &[&str]) {
    let mut command = redis::cmd(arguments[0]);
    let _: redis::Value = command
        .arg(&arguments[1..])
        .query_async(admin)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_others_wrote_in_its_keys_is_no_answer_and_does_no_harm() {
    let Some(server) = private().await else {
        return;
    };
    let mut admin = raw(&server.url()).await;
    let (store, _) = open(&RedisReplies::new(server.url())).await;
    let first = lookup("q", "get:1");
    let versions = turn(&store, &first).await;
    let (answer, tag) = (
        "replybus:cache:{q}:answer:get:1",
        "replybus:cache:{q}:tag:a",
    );
    // An answer without the versions, with those of others, and something that is no answer.
    set(&mut admin, &["HSET", answer, "answer", "forged"]).await;
    turn(&store, &first).await;
    set(&mut admin, &["HSET", answer, "versions", "1 2 3"]).await;
    turn(&store, &first).await;
    set(&mut admin, &["HSET", tag, "until", "soon", "version", ""]).await;
    turn(&store, &first).await;
    set(&mut admin, &["SET", tag, "text"]).await;
    assert!(store.look_up(&first).await.is_err());
    let entry = CacheEntry::ended(&first, versions).keep("pen".into(), MINUTE);
    assert!(store.end_turn(&entry).await.is_err());
    // The next invalidation sweeps it away.
    store.invalidate("q", &["a".into()]).await.unwrap();
    turn(&store, &first).await;
    set(&mut admin, &["DEL", answer]).await;
    set(&mut admin, &["SET", answer, "text"]).await;
    let refused = store.look_up(&first).await.unwrap_err();
    assert!(!format!("{refused:?}").contains("get:1"), "{refused:?}");
}

#[tokio::test]
async fn what_the_server_evicts_or_loses_makes_no_old_answer_true() {
    let Some(server) = private().await else {
        return;
    };
    let mut admin = raw(&server.url()).await;
    let (store, _) = open(&RedisReplies::new(server.url())).await;
    let first = lookup("q", "get:1");
    let versions = turn(&store, &first).await;
    let entry = CacheEntry::ended(&first, versions).keep("pen".into(), MINUTE);
    assert!(store.end_turn(&entry).await.unwrap());
    set(&mut admin, &["DEL", "replybus:cache:{q}:tag:c"]).await;
    turn(&store, &first).await;
    assert!(!store.end_turn(&entry).await.unwrap());
    // All of it lives no longer than the answer.
    let keys = server.cli(&["keys", "replybus:cache:*"]).await.unwrap();
    for key in keys.lines() {
        let left = server.cli(&["pttl", key]).await.unwrap();
        let left: u64 = left.trim().parse().unwrap();
        assert!((1..=60_000).contains(&left), "{key}: {left}");
    }
}
