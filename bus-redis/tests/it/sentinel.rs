//! The same promises behind a Sentinel, and a failover.

use crate::{
    claims,
    opened::{open, private, to_inbox},
    promises,
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::require_or_skip,
    servers::PrivateRedis,
    wait::{bounded, eventually},
};

const PASSWORD: &str = "s@cret";

/// A sentinel that watches over `bank`.
async fn watch(master: &PrivateRedis) -> Option<PrivateRedis> {
    let settings = [
        format!("sentinel monitor bank 127.0.0.1 {} 1", master.port()),
        "sentinel down-after-milliseconds bank 500".to_owned(),
        "sentinel failover-timeout bank 3000".to_owned(),
        format!("sentinel auth-pass bank {PASSWORD}"),
    ];
    require_or_skip(PrivateRedis::set_up(|redis| redis.sentinel(&settings)).await)
}

/// What a server says of itself.
async fn info(server: &PrivateRedis, section: &str) -> String {
    let login = ["--no-auth-warning", "-a", PASSWORD, "info", section];
    server.cli(&login).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds_behind_a_sentinel_and_across_a_failover() {
    let started = PrivateRedis::set_up(|redis| redis.password(PASSWORD)).await;
    let Some(mut master) = require_or_skip(started) else {
        return;
    };
    let port = master.port().to_string();
    let follow = ["--replicaof", "127.0.0.1", &port];
    let started = PrivateRedis::set_up(|redis| redis.password(PASSWORD).arguments(follow)).await;
    let Some(replica) = require_or_skip(started) else {
        return;
    };
    let Some(sentinel) = watch(&master).await else {
        return;
    };

    let server = format!(":s%40cret@127.0.0.1:{}", sentinel.port());
    let replies = RedisReplies::new(format!("redis+sentinel://{server}?master=bank"));
    promises::all(&replies).await;
    bounded(claims::table(&replies)).await;

    let (store, heard) = open(&replies).await;
    eventually("the replica follows", || async {
        info(&replica, "replication")
            .await
            .contains("master_link_status:up")
            && info(&sentinel, "sentinel").await.contains("slaves=1")
    })
    .await;
    bounded(async {
        let reply = to_inbox(&store, "across the failover");
        heard.wait_for(reply.id);
        master.kill();
        eventually("the reply is stored", || async {
            store.store(reply.clone()).await.is_ok()
        })
        .await;
        assert_eq!(heard.reply(reply.id).await, "across the failover");
        let role = info(&replica, "replication").await;
        assert!(role.contains("role:master"), "{role}");
    })
    .await;
}

#[tokio::test]
async fn an_unknown_master_is_not_found() {
    let Some(master) = private().await else {
        return;
    };
    let Some(sentinel) = watch(&master).await else {
        return;
    };
    let url = format!(
        "redis+sentinel://127.0.0.1:{}?master=other",
        sentinel.port()
    );
    let replies = RedisReplies::new(url).connect_within(std::time::Duration::from_millis(500));
    let refused = bounded(crate::setup::refused(replies, "")).await;
    assert!(
        matches!(refused, replybus::SetupError::Unreachable { .. }),
        "{refused:?}"
    );
}
