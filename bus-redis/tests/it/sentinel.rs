//! The same promises behind a Sentinel, and a failover.

use crate::{
    claims,
    live::{bounded, eventually, open, to_inbox},
    promises,
    server::{Server, free_port},
};
use replybus_redis::RedisReplies;
use std::{fs, process::Command};

async fn start(master: &Server) -> Server {
    let port = free_port();
    let file = master.directory.join("sentinel.conf");
    let settings = format!(
        "port {port}\nsentinel monitor bank 127.0.0.1 {} 1\n\
         sentinel down-after-milliseconds bank 500\nsentinel failover-timeout bank 3000\n\
         sentinel auth-pass bank s@cret\n",
        master.port,
    );
    fs::write(&file, settings).unwrap();
    let arguments = vec![file.to_string_lossy().into_owned(), "--sentinel".to_owned()];
    Server::launch("redis-server", port, arguments).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds_behind_a_sentinel_and_across_a_failover() {
    let login = ["--requirepass", "s@cret", "--masterauth", "s@cret"];
    let Some(mut master) = Server::start(&login).await else {
        return;
    };
    let port = master.port.to_string();
    let mut follow = login.to_vec();
    follow.extend(["--replicaof", "127.0.0.1", &port]);
    let Some(replica) = Server::start(&follow).await else {
        return;
    };
    let sentinel = start(&master).await;

    let url = format!("redis://:s%40cret@127.0.0.1:{}", sentinel.port);
    let replies = RedisReplies::sentinel([url], "bank");
    promises::all(&replies).await;
    bounded(claims::table(&replies)).await;

    let (store, heard) = open(&replies).await;
    let info = |port: u16, section: &'static str| {
        let mut ask = Command::new("redis-cli");
        ask.args([
            "--no-auth-warning",
            "-a",
            "s@cret",
            "-p",
            &port.to_string(),
            "info",
            section,
        ]);
        String::from_utf8_lossy(&ask.output().unwrap().stdout).into_owned()
    };
    eventually("the replica follows", || async {
        info(replica.port, "replication").contains("master_link_status:up")
            && info(sentinel.port, "sentinel").contains("slaves=1")
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
        assert!(info(replica.port, "replication").contains("role:master"));
    })
    .await;
}

#[tokio::test]
async fn an_unknown_master_is_not_found() {
    let Some(master) = Server::start(&[]).await else {
        return;
    };
    let sentinel = start(&master).await;
    let url = format!("redis+sentinel://127.0.0.1:{}?master=other", sentinel.port);
    let replies = RedisReplies::new(url).connect_within(std::time::Duration::from_millis(500));
    let refused = bounded(crate::setup::refused(replies, "")).await;
    assert!(
        matches!(refused, replybus::SetupError::Unreachable { .. }),
        "{refused:?}"
    );
}
