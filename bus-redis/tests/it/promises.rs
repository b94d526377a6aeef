//! Each promise of a reply store, as a function of where Redis is: they hold on one server, in a
//! cluster and behind Sentinels.

use crate::opened::{claim, open, reply, to_inbox};
use bytes::Bytes;
use replybus::{
    CallId, limits,
    presence::InstanceId,
    reply::{Claimed, Presence, ReplyBackend, ReplyTarget, StoreHealth, Stored},
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::unique,
    wait::{bounded, eventually},
};
use std::{sync::Arc, time::Duration};

/// One test per promise, on the shared server.
macro_rules! on_the_shared_server {
    ($($promise:ident)*) => {$(
        mod $promise {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn holds() {
                let Some(url) = replybus_testkit::live::redis().await else { return };
                super::bounded(super::$promise(super::RedisReplies::new(url))).await;
            }
        }

    )*
        /// All of them, one after the other.
        #[allow(dead_code)]
        pub(crate) async fn all(replies: &RedisReplies) {
            $(
                bounded($promise(replies.clone())).await;
            )*
        }
    };
}

on_the_shared_server! {
    a_reply_arrives_in_the_inbox_it_was_sent_to
    the_first_reply_wins
    a_reply_without_inbox_is_fetched_by_its_call
    a_reply_under_a_key_expires
    a_reply_to_a_dead_caller_goes_under_its_key
    the_largest_reply_arrives
    replies_of_many_at_once_all_arrive
    replies_in_groups_all_arrive
    an_outcome_is_stored_with_its_reply
    a_one_way_outcome_is_stored_alone
    inboxes_of_other_buses_are_refused
    an_instance_is_listed_until_it_is_withdrawn
    a_closed_store_stores_no_more
}

async fn a_reply_arrives_in_the_inbox_it_was_sent_to(replies: RedisReplies) {
    let (here, heard_here) = open(&replies).await;
    let (there, heard_there) = open(&replies).await;
    assert_eq!(here.health(), StoreHealth::Up);
    assert!(here.is_inbox(there.inbox()));
    let reply = to_inbox(&there, "hello");
    assert_eq!(here.store(reply.clone()).await.unwrap(), Stored::AsAsked);
    assert_eq!(heard_there.reply(reply.id).await, reply.frame);
    assert_eq!(heard_here.get(reply.id), None);
    assert_eq!(here.fetch(reply.id).await.unwrap(), None);
    here.close().await;
    there.close().await;
}

async fn the_first_reply_wins(replies: RedisReplies) {
    let (store, heard) = open(&replies).await;
    let mut inbox = to_inbox(&store, "first");
    let mut key = reply(ReplyTarget::Key, "first");
    for frame in ["first", "second"] {
        inbox.frame = Bytes::from(frame);
        key.frame = Bytes::from(frame);
        store.store(inbox.clone()).await.unwrap();
        store.store(key.clone()).await.unwrap();
    }
    assert_eq!(heard.reply(inbox.id).await, "first");
    assert_eq!(store.fetch(key.id).await.unwrap().unwrap(), "first");
}

async fn a_reply_without_inbox_is_fetched_by_its_call(replies: RedisReplies) {
    let (store, heard) = open(&replies).await;
    assert_eq!(store.fetch(CallId::new()).await.unwrap(), None);
    let reply = reply(ReplyTarget::Key, "kept\0\r\n");
    store.store(reply.clone()).await.unwrap();
    let (other, _) = open(&replies).await;
    assert_eq!(other.fetch(reply.id).await.unwrap().unwrap(), reply.frame);
    assert_eq!(heard.get(reply.id), None);
}

async fn a_reply_under_a_key_expires(replies: RedisReplies) {
    let (store, _) = open(&replies).await;
    let mut reply = reply(ReplyTarget::Key, "soon gone");
    reply.ttl = Duration::from_millis(50);
    store.store(reply.clone()).await.unwrap();
    eventually("the reply expires", || async {
        store.fetch(reply.id).await.unwrap().is_none()
    })
    .await;
}

async fn a_reply_to_a_dead_caller_goes_under_its_key(replies: RedisReplies) {
    let (store, _) = open(&replies).await;
    let (caller, _) = open(&replies).await;
    let plain = to_inbox(&caller, "plain");
    let mut claimed = to_inbox(&caller, "claimed");
    claimed.record = Some(claim(&unique("dead-caller"), "me"));
    caller.close().await;
    for reply in [plain, claimed] {
        let stored = store.store(reply.clone()).await.unwrap();
        assert_eq!(stored, Stored::InboxAbsent);
        assert_eq!(store.fetch(reply.id).await.unwrap().unwrap(), reply.frame);
    }
}

async fn the_largest_reply_arrives(replies: RedisReplies) {
    let (store, heard) = open(&replies).await;
    let mut sent = Vec::new();
    // More than is left untrimmed, so that freeing what was read is part of it.
    for byte in 0..8 {
        let mut reply = to_inbox(&store, "");
        reply.frame = Bytes::from(vec![byte; limits::REPLY_BYTES_MAX]);
        store.store(reply.clone()).await.unwrap();
        sent.push(reply);
    }
    for reply in sent {
        assert!(heard.reply(reply.id).await == reply.frame);
    }
}

async fn replies_of_many_at_once_all_arrive(replies: RedisReplies) {
    let (store, heard) = open(&replies).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut sent = Vec::new();
            for count in 0..20 {
                let reply = to_inbox(&store, &format!("{task}/{count}"));
                store.store(reply.clone()).await.unwrap();
                sent.push(reply);
            }
            sent
        });
    }
    for reply in tasks.join_all().await.into_iter().flatten() {
        assert_eq!(heard.reply(reply.id).await, reply.frame);
    }
}

async fn replies_in_groups_all_arrive(replies: RedisReplies) {
    let (worker, _) = open(&replies).await;
    let (dead, _) = open(&replies).await;
    dead.close().await;
    let callers = [open(&replies).await, open(&replies).await];
    let mut tasks = tokio::task::JoinSet::new();
    for count in 0..300 {
        // To each of several inboxes, one of which is gone, and every fourth not in a group.
        let to = callers.get(count % 3).map_or(&dead, |(store, _)| store);
        let reply = to_inbox(to, &format!("{count}")).groupable(count % 4 != 0);
        let worker = Arc::clone(&worker);
        tasks.spawn(async move {
            let stored = worker.store(reply.clone()).await.unwrap();
            (count % 3, reply, stored)
        });
    }
    for (to, reply, stored) in tasks.join_all().await {
        let found = match callers.get(to) {
            Some((_, heard)) => {
                assert_eq!(stored, Stored::AsAsked);
                heard.reply(reply.id).await
            }
            None => {
                assert_eq!(stored, Stored::InboxAbsent);
                worker.fetch(reply.id).await.unwrap().unwrap()
            }
        };
        assert_eq!(found, reply.frame);
    }
}

async fn an_outcome_is_stored_with_its_reply(replies: RedisReplies) {
    let (store, heard) = open(&replies).await;
    for target in [ReplyTarget::Inbox(store.inbox().into()), ReplyTarget::Key] {
        let claim = claim(&unique("outcome"), "me");
        assert_eq!(
            store.claim(&claim).await.unwrap(),
            Claimed::Run { attempt: 1 }
        );
        let mut reply = reply(target.clone(), "posted");
        reply.record = Some(claim.clone());
        store.store(reply.clone()).await.unwrap();
        assert_eq!(
            store.claim(&claim).await.unwrap(),
            Claimed::Done("posted".into())
        );
        match target {
            ReplyTarget::Key => {
                assert_eq!(store.fetch(reply.id).await.unwrap().unwrap(), "posted");
            }
            _ => assert_eq!(heard.reply(reply.id).await, "posted"),
        }
    }
}

async fn a_one_way_outcome_is_stored_alone(replies: RedisReplies) {
    let (store, _) = open(&replies).await;
    let claim = claim(&unique("one-way"), "me");
    let mut reply = reply(ReplyTarget::None, "done");
    store.store(reply.clone()).await.unwrap();
    reply.record = Some(claim.clone());
    store.store(reply.clone()).await.unwrap();
    assert_eq!(
        store.claim(&claim).await.unwrap(),
        Claimed::Done("done".into())
    );
    assert_eq!(store.fetch(reply.id).await.unwrap(), None);
}

async fn inboxes_of_other_buses_are_refused(replies: RedisReplies) {
    let (store, heard) = open(&replies).await;
    let other = Box::new(replies.clone())
        .open("other", heard.clone())
        .await
        .unwrap();
    let prefixed = Box::new(replies.key_prefix("mine:"))
        .open("", heard)
        .await
        .unwrap();
    for (store, inbox, known) in [
        (&store, &store, true),
        (&store, &other, false),
        (&store, &prefixed, false),
        (&other, &store, false),
        (&other, &other, true),
        (&prefixed, &store, false),
    ] {
        assert_eq!(store.is_inbox(inbox.inbox()), known, "{}", inbox.inbox());
    }
}

async fn an_instance_is_listed_until_it_is_withdrawn(replies: RedisReplies) {
    let (worker, _) = open(&replies).await;
    let (other, _) = open(&replies).await;
    // Queues whose keys live on several nodes of a cluster.
    for _ in 0..12 {
        let queue = unique("served");
        let id = InstanceId::from_bytes(*CallId::new().as_bytes());
        let presence = Presence::new(queue.as_str(), id, Bytes::from_static(b"here"));
        worker.announce(&presence).await.unwrap();
        assert_eq!(other.present(&queue).await.unwrap(), ["here"]);
        worker.withdraw(&queue, id).await.unwrap();
        assert!(other.present(&queue).await.unwrap().is_empty());
        worker
            .announce(&presence.ttl(Duration::from_millis(200)))
            .await
            .unwrap();
        eventually("it is gone", || async {
            other.present(&queue).await.unwrap().is_empty()
        })
        .await;
    }
}

async fn a_closed_store_stores_no_more(replies: RedisReplies) {
    let (store, _) = open(&replies).await;
    store.close().await;
    store.close().await;
    assert!(store.store(reply(ReplyTarget::Key, "late")).await.is_err());
    assert!(store.fetch(CallId::new()).await.is_err());
}
