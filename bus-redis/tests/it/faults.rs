//! A Redis blip never ends a wait: kills, restarts, freezes, wipes and half-open connections.

use crate::opened::{claim, open, private, raw, reply, to_inbox};
use deadpool_redis::redis::{self, aio::MultiplexedConnection};
use replybus::{
    limits::CALL_TIMEOUT_MAX,
    reply::{Reply, ReplyStore, ReplyTarget, StoreHealth},
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    proxy::{Mode, Proxy},
    servers::PrivateRedis,
    wait::{bounded, eventually},
};
use std::{sync::Arc, time::Duration};

/// Stores until it works: a store that fails may be repeated.
async fn store(store: &Arc<dyn ReplyStore>, reply: &Reply) {
    eventually("the reply is stored", || async {
        store.store(reply.clone()).await.is_ok()
    })
    .await;
}

async fn is_up(store: &Arc<dyn ReplyStore>) {
    eventually("the store is up", || async {
        store.health() == StoreHealth::Up
    })
    .await;
}

/// Cuts the connection that reads the inbox, once there is one.
async fn kill_listener(admin: &mut MultiplexedConnection) {
    let clients = "CLIENT LIST TYPE normal".split(' ').collect::<Vec<_>>();
    loop {
        let mut list = redis::cmd(clients[0]);
        let list: String = list.arg(&clients[1..]).query_async(admin).await.unwrap();
        let listener = list.lines().find(|line| line.contains(" cmd=xread "));
        let id =
            listener.and_then(|line| line.split(' ').find_map(|part| part.strip_prefix("id=")));
        if let Some(id) = id {
            let mut kill = redis::cmd("CLIENT");
            let _: i64 = kill
                .arg("KILL")
                .arg("ID")
                .arg(id)
                .query_async(admin)
                .await
                .unwrap();
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_cuts_of_the_listener_lose_none_of_ten_thousand_replies() {
    let Some(server) = private().await else {
        return;
    };
    let (store, heard) = open(&RedisReplies::new(server.url())).await;
    let mut admin = raw(&server.url()).await;
    bounded(async {
        let mut sent = Vec::new();
        for cut in 0..200 {
            let storing = async {
                for count in 0..50 {
                    let reply = to_inbox(&store, &format!("{cut}/{count}"));
                    store.store(reply.clone()).await.unwrap();
                    sent.push(reply);
                }
            };
            tokio::join!(storing, kill_listener(&mut admin));
        }
        assert_eq!(sent.len(), 10_000);
        for reply in sent {
            assert_eq!(heard.reply(reply.id).await, reply.frame);
        }
    })
    .await;
}

#[tokio::test]
async fn cut_writers_are_replaced_within_the_store() {
    let Some(server) = private().await else {
        return;
    };
    let (store, heard) = open(&RedisReplies::new(server.url())).await;
    let mut admin = raw(&server.url()).await;
    for _ in 0..20 {
        let mut kill = redis::cmd("CLIENT");
        kill.arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]);
        let _: i64 = kill.query_async(&mut admin).await.unwrap();
        let reply = to_inbox(&store, "through");
        store.store(reply.clone()).await.unwrap();
        assert_eq!(heard.reply(reply.id).await, "through");
    }
}

#[tokio::test]
async fn after_a_restart_without_data_replies_arrive() {
    let Some(mut server) = private().await else {
        return;
    };
    let (here, heard) = open(&RedisReplies::new(server.url())).await;
    let (worker, _) = open(&RedisReplies::new(server.url())).await;
    bounded(async {
        for round in 0..3 {
            let waiting = to_inbox(&here, &format!("across restart {round}"));
            heard.wait_for(waiting.id);
            server.restart().await.unwrap();
            store(&worker, &waiting).await;
            assert_eq!(heard.reply(waiting.id).await, waiting.frame);
            let later = to_inbox(&here, "later");
            store(&worker, &later).await;
            assert_eq!(heard.reply(later.id).await, "later");
        }
        is_up(&here).await;
        is_up(&worker).await;
    })
    .await;
}

#[tokio::test]
async fn a_reply_stored_while_the_inbox_was_gone_is_found() {
    let Some(server) = private().await else {
        return;
    };
    let replies = RedisReplies::new(server.url());
    bounded(finds_what_was_stored_without_inbox(&server, &replies)).await;
}

pub(crate) async fn finds_what_was_stored_without_inbox(
    server: &PrivateRedis,
    replies: &RedisReplies,
) {
    let (store, heard) = open(replies).await;
    let mut admin = raw(&server.url()).await;
    for _ in 0..3 {
        let reply = to_inbox(&store, "under the key");
        heard.wait_for(reply.id);
        let _: () = redis::cmd("FLUSHALL")
            .query_async(&mut admin)
            .await
            .unwrap();
        store.store(reply.clone()).await.unwrap();
        assert_eq!(heard.reply(reply.id).await, "under the key");
    }
}

#[tokio::test]
async fn a_frozen_server_ends_no_wait() {
    let Some(server) = private().await else {
        return;
    };
    let (store, heard) = open(&RedisReplies::new(server.url())).await;
    let waiting = to_inbox(&store, "after the thaw");
    bounded(async {
        server.freeze();
        let failed = store.store(waiting.clone()).await;
        assert!(failed.is_err());
        assert!(matches!(store.health(), StoreHealth::Down(_)));
        server.thaw();
        // Nobody stores, and yet it is found out.
        is_up(&store).await;
        self::store(&store, &waiting).await;
        assert_eq!(heard.reply(waiting.id).await, "after the thaw");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_far_away_is_tried_and_found_up_again() {
    let Some(server) = private().await else {
        return;
    };
    let (proxy, url) = Proxy::before(&server.url(), 6379).await.unwrap();
    // One command is answered in time, and all that are tried together are not.
    let far = Mode::Latency(Duration::from_millis(50));
    proxy.set(far);
    let replies = RedisReplies::new(url).response_timeout(Duration::from_secs(1));
    let (store, heard) = open(&replies).await;
    bounded(async {
        proxy.set(Mode::Refuse);
        let waiting = to_inbox(&store, "from afar");
        assert!(store.store(waiting.clone()).await.is_err());
        assert!(matches!(store.health(), StoreHealth::Down(_)));
        proxy.set(far);
        // Nobody stores, and yet it is found out.
        is_up(&store).await;
        self::store(&store, &waiting).await;
        assert_eq!(heard.reply(waiting.id).await, "from afar");
    })
    .await;
}

#[tokio::test]
async fn half_open_connections_are_replaced() {
    let Some(server) = private().await else {
        return;
    };
    let (proxy, url) = Proxy::before(&server.url(), 6379).await.unwrap();
    let replies = RedisReplies::new(url).response_timeout(Duration::from_millis(300));
    let (store, heard) = open(&replies).await;
    bounded(async {
        for _ in 0..3 {
            // Every connection is in use, and then dead.
            for _ in 0..4 {
                let reply = to_inbox(&store, "before");
                self::store(&store, &reply).await;
                assert_eq!(heard.reply(reply.id).await, "before");
            }
            let accepted = proxy.accepted();
            proxy.set(Mode::SwallowOld);
            let reply = to_inbox(&store, "after");
            store.store(reply.clone()).await.unwrap();
            assert_eq!(heard.reply(reply.id).await, "after");
            assert!(proxy.accepted() > accepted);
        }
    })
    .await;
}

#[tokio::test]
async fn a_full_server_is_down_until_there_is_room() {
    let Some(server) = private().await else {
        return;
    };
    let replies = RedisReplies::new(server.url()).response_timeout(Duration::from_millis(100));
    let (store, heard) = open(&replies).await;
    let mut admin = raw(&server.url()).await;
    let limit = async |admin: &mut MultiplexedConnection, bytes: &str| {
        let mut set = redis::cmd("CONFIG");
        set.arg(&["SET", "maxmemory", bytes]);
        let _: () = set.query_async(admin).await.unwrap();
    };
    limit(&mut admin, "1").await;
    let reply = to_inbox(&store, "room");
    assert!(store.store(reply.clone()).await.is_err());
    assert!(matches!(store.health(), StoreHealth::Down(_)));
    // That something can be read, or given up, does not make room.
    assert_eq!(store.fetch(reply.id).await.unwrap(), None);
    store.release(&claim("full", "mine")).await.unwrap();
    assert!(matches!(store.health(), StoreHealth::Down(_)));
    limit(&mut admin, "0").await;
    is_up(&store).await;
    store.store(reply.clone()).await.unwrap();
    assert_eq!(heard.reply(reply.id).await, "room");
}

#[tokio::test]
async fn scripts_and_roles_that_change_are_noticed() {
    let Some(server) = private().await else {
        return;
    };
    let (store, _) = open(&RedisReplies::new(server.url())).await;
    let mut admin = raw(&server.url()).await;
    let claim = claim("flushed", "mine");
    for _ in 0..2 {
        assert!(store.claim(&claim).await.is_ok());
        let _: () = redis::cmd("SCRIPT")
            .arg("FLUSH")
            .query_async(&mut admin)
            .await
            .unwrap();
    }
    let mut replica = redis::cmd("REPLICAOF");
    replica
        .arg("127.0.0.1")
        .arg(server.port().saturating_add(1));
    let _: () = replica.query_async(&mut admin).await.unwrap();
    assert!(
        store
            .store(reply(ReplyTarget::Key, "read only"))
            .await
            .is_err()
    );
    let mut master = redis::cmd("REPLICAOF");
    let _: () = master
        .arg("NO")
        .arg("ONE")
        .query_async(&mut admin)
        .await
        .unwrap();
    is_up(&store).await;
    self::store(&store, &reply(ReplyTarget::Key, "writable")).await;
}

#[tokio::test]
async fn an_inbox_lives_as_long_as_its_owner() {
    let Some(server) = private().await else {
        return;
    };
    let mut admin = raw(&server.url()).await;
    let (store, heard) = open(&RedisReplies::new(server.url())).await;
    let inbox = store.inbox().to_owned();
    let expiry: i64 = redis::cmd("PTTL")
        .arg(&inbox)
        .query_async(&mut admin)
        .await
        .unwrap();
    // Replies to calls that wait, while it is cut off, are there when it is back.
    let longest: i64 = CALL_TIMEOUT_MAX.as_millis().try_into().unwrap();
    assert!((longest - 60_000..=longest).contains(&expiry), "{expiry}");

    // What was read is freed.
    for _ in 0..500 {
        let reply = to_inbox(&store, "read");
        store.store(reply.clone()).await.unwrap();
        heard.reply(reply.id).await;
    }
    let probe = raw(&server.url()).await;
    eventually("the inbox is trimmed", || {
        let (inbox, mut probe) = (inbox.clone(), probe.clone());
        async move {
            let left: u64 = redis::cmd("XLEN")
                .arg(inbox)
                .query_async(&mut probe)
                .await
                .unwrap();
            left <= 1
        }
    })
    .await;

    // Dropped without a close it leaves no connection, and an inbox that will expire.
    drop(store);
    eventually("the connections end", || {
        let mut probe = probe.clone();
        async move {
            let mut list = redis::cmd("CLIENT");
            let list: String = list.arg("LIST").query_async(&mut probe).await.unwrap();
            list.lines().count() == 2
        }
    })
    .await;
    let expiry: i64 = redis::cmd("PTTL")
        .arg(&inbox)
        .query_async(&mut admin)
        .await
        .unwrap();
    assert!(expiry > 0, "{expiry}");

    let (closed, _) = open(&RedisReplies::new(server.url())).await;
    let inbox = closed.inbox().to_owned();
    closed.close().await;
    let left: bool = redis::cmd("EXISTS")
        .arg(&inbox)
        .query_async(&mut admin)
        .await
        .unwrap();
    assert!(!left);
}

#[tokio::test]
async fn what_is_no_reply_is_passed_over() {
    let Some(server) = private().await else {
        return;
    };
    let (store, heard) = open(&RedisReplies::new(server.url())).await;
    let mut admin = raw(&server.url()).await;
    for fields in [["id", "no id"], ["frame", "no id"], ["\0\r\n", "x"]] {
        let mut add = redis::cmd("XADD");
        add.arg(store.inbox()).arg("*").arg(&fields);
        let _: String = add.query_async(&mut admin).await.unwrap();
    }
    let reply = to_inbox(&store, "sound");
    store.store(reply.clone()).await.unwrap();
    assert_eq!(heard.reply(reply.id).await, "sound");
}
