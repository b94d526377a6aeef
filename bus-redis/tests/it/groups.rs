//! Replies to callers that read groups: several in one entry, and each told of by itself.

use crate::opened::{open, private, raw, to_inbox};
use bytes::Bytes;
use deadpool_redis::redis::{self, aio::MultiplexedConnection};
use replybus::{
    CallId,
    reply::{Reply, ReplyStore, ReplyTarget, Stored},
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::redis as shared,
    proxy::{Mode, Proxy},
    wait::bounded,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// An inbox that nobody reads.
async fn unread_inbox(server: &mut MultiplexedConnection) -> String {
    let inbox = format!("replybus:inbox:{{{}}}", CallId::new());
    let mut both = redis::pipe();
    both.cmd("XADD").arg(&inbox).arg(&["*", "mark", "1"]);
    both.cmd("PEXPIRE").arg(&inbox).arg(60_000);
    let _: (String, i64) = both.query_async(server).await.unwrap();
    inbox
}

/// The entries of an inbox, without the mark.
async fn entries(server: &mut MultiplexedConnection, inbox: &str) -> Vec<HashMap<String, Bytes>> {
    let mut range = redis::cmd("XRANGE");
    range.arg(inbox).arg(&["-", "+"]);
    let entries: Vec<(String, HashMap<String, Bytes>)> = range.query_async(server).await.unwrap();
    entries
        .into_iter()
        .skip(1)
        .map(|(_, fields)| fields)
        .collect()
}

fn to(inbox: &str, frame: &str) -> Reply {
    let target = ReplyTarget::Inbox(inbox.into());
    Reply::new(CallId::new(), target, Bytes::from(frame.to_owned())).groupable(true)
}

/// Stores all at the same time, and what each was told.
async fn store_all(store: &Arc<dyn ReplyStore>, replies: &[Reply]) -> Vec<Stored> {
    let mut tasks = JoinSet::new();
    for (at, reply) in replies.iter().cloned().enumerate() {
        let store = Arc::clone(store);
        tasks.spawn(async move { (at, store.store(reply).await.unwrap()) });
    }
    let mut told = tasks.join_all().await;
    told.sort_by_key(|(at, _)| *at);
    told.into_iter().map(|(_, stored)| stored).collect()
}

#[tokio::test]
async fn replies_that_are_ready_together_share_an_entry() {
    let Some(url) = shared().await else { return };
    let (store, _) = open(&RedisReplies::new(&url)).await;
    let mut server = raw(&url).await;
    let inbox = unread_inbox(&mut server).await;
    let replies: Vec<_> = (0..100)
        .map(|n| to(&inbox, &format!("frame {n}")))
        .collect();
    assert_eq!(store_all(&store, &replies).await, [Stored::AsAsked; 100]);
    let entries = entries(&mut server, &inbox).await;
    assert!(entries.len() < 50, "{} entries", entries.len());
    let mut read = HashMap::new();
    for entry in &entries {
        assert_eq!(entry.len(), 1);
        let mut group = &entry["group"][..];
        let pairs = rmp::decode::read_array_len(&mut group).unwrap();
        assert!((1..=64).contains(&pairs));
        for _ in 0..pairs {
            assert_eq!(rmp::decode::read_array_len(&mut group).unwrap(), 2);
            let mut part = || {
                let bytes = rmp::decode::read_bin_len(&mut group).unwrap();
                let (part, rest) = group.split_at(bytes.try_into().unwrap());
                group = rest;
                Bytes::copy_from_slice(part)
            };
            let (id, frame) = (part(), part());
            read.insert(CallId::from_bytes(id[..].try_into().unwrap()), frame);
        }
        assert!(group.is_empty());
    }
    let sent = replies.into_iter().map(|reply| (reply.id, reply.frame));
    assert_eq!(read, sent.collect());
}

#[tokio::test]
async fn whoever_reads_no_groups_gets_none() {
    let Some(url) = shared().await else { return };
    let (store, _) = open(&RedisReplies::new(&url)).await;
    let mut server = raw(&url).await;
    let inbox = unread_inbox(&mut server).await;
    let replies: Vec<_> = (0..20)
        .map(|_| to(&inbox, "frame").groupable(false))
        .collect();
    store_all(&store, &replies).await;
    let entries = entries(&mut server, &inbox).await;
    assert_eq!(entries.len(), 20);
    assert!(
        entries
            .iter()
            .all(|entry| entry["frame"] == "frame" && entry.contains_key("id"))
    );
}

#[tokio::test]
async fn a_group_without_an_inbox_is_kept_one_by_one() {
    let Some(url) = shared().await else { return };
    let (store, _) = open(&RedisReplies::new(&url)).await;
    let gone = format!("replybus:inbox:{{{}}}", CallId::new());
    let mut replies: Vec<_> = (0..40).map(|n| to(&gone, &format!("frame {n}"))).collect();
    // One has a reply already, which stands.
    let mut before = replies[7].clone();
    (before.target, before.frame) = (ReplyTarget::Key, "before".into());
    store.store(before).await.unwrap();
    assert_eq!(store_all(&store, &replies).await, [Stored::InboxAbsent; 40]);
    replies[7].frame = "before".into();
    for reply in replies {
        assert_eq!(store.fetch(reply.id).await.unwrap().unwrap(), reply.frame);
    }
}

#[tokio::test]
async fn a_group_that_is_none_harms_nobody() {
    let Some(url) = shared().await else { return };
    let (store, heard) = open(&RedisReplies::new(&url)).await;
    let mut server = raw(&url).await;
    let mut sound = vec![0xdc, 0xff, 0xff, 0x92, 0xc4, 0x10];
    let id = CallId::new();
    sound.extend(id.as_bytes());
    sound.extend([0xc4, 1, b'x', 0x92, 0xc4, 0x10]);
    let random = (0..=255).collect::<Vec<u8>>();
    for group in [&b""[..], &[0xdd, 0xff, 0xff, 0xff, 0xff], &random, &sound] {
        let mut add = redis::cmd("XADD");
        add.arg(store.inbox()).arg("*").arg("group").arg(group);
        let _: String = add.query_async(&mut server).await.unwrap();
    }
    // As far as it is one it is read.
    assert_eq!(heard.reply(id).await, "x");
    let reply = to_inbox(&store, "sound").groupable(true);
    store.store(reply.clone()).await.unwrap();
    assert_eq!(heard.reply(reply.id).await, "sound");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_no_reply_of_a_group() {
    let Some(server) = private().await else {
        return;
    };
    let (proxy, url) = Proxy::before(&server.url(), 6379).await.unwrap();
    let (caller, heard) = open(&RedisReplies::new(server.url())).await;
    let replies = RedisReplies::new(url).response_timeout(Duration::from_millis(300));
    let (worker, _) = open(&replies).await;
    bounded(async {
        let mut tasks = JoinSet::new();
        for task in 0..32 {
            let (worker, inbox) = (Arc::clone(&worker), caller.inbox().to_owned());
            tasks.spawn(async move {
                let mut sent = Vec::new();
                for count in 0..30 {
                    let reply = to(&inbox, &format!("{task}/{count}"));
                    while worker.store(reply.clone()).await.is_err() {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    sent.push(reply);
                }
                sent
            });
        }
        let cutting = async {
            loop {
                proxy.set(Mode::Cut);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let sent = tokio::select! {
            sent = tasks.join_all() => sent.concat(),
            () = cutting => unreachable!(),
        };
        assert_eq!(sent.len(), 960);
        for reply in sent {
            assert_eq!(heard.reply(reply.id).await, reply.frame);
        }
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_gives_up_takes_no_reply_of_others_with_it() {
    let Some(url) = shared().await else { return };
    let (store, heard) = open(&RedisReplies::new(&url)).await;
    let mut stay = JoinSet::new();
    let mut sent = Vec::new();
    for count in 0..300 {
        let reply = to_inbox(&store, &format!("frame {count}")).groupable(true);
        let task = Arc::clone(&store);
        let stored = reply.clone();
        if count % 3 == 0 {
            // Begun, and dropped under way.
            let begun = task.store(stored);
            let _ = tokio::time::timeout(Duration::ZERO, begun).await;
        } else {
            stay.spawn(async move { task.store(stored).await.unwrap() });
            sent.push(reply);
        }
    }
    stay.join_all().await;
    for reply in sent {
        assert_eq!(heard.reply(reply.id).await, reply.frame);
    }
}
