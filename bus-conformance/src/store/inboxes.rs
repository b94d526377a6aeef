//! Replies that go to the process that waits for them.

use super::bench::{Bench, reply};
use replybus::{
    Bytes, CallId,
    reply::{Reply, ReplyTarget, StoreHealth, Stored},
};
use std::{collections::HashSet, sync::Arc};
use tokio::task::JoinSet;

pub(crate) async fn a_reply_reaches_the_inbox_it_names(bench: Bench) {
    let (one, two, service) = (bench.open().await, bench.open().await, bench.open().await);
    let (first, second) = (CallId::new(), CallId::new());
    service.send(first, one.target(), "first").await;
    service.send(second, two.target(), "second").await;
    assert_eq!(one.arrived().await, (first, "first".into()));
    assert_eq!(two.arrived().await, (second, "second".into()));
    // To itself as well.
    service.send(first, service.target(), "own").await;
    assert_eq!(service.arrived().await, (first, "own".into()));
}

pub(crate) async fn every_reply_arrives(bench: Bench) {
    const TASKS: usize = 16;
    const EACH: usize = 50;
    let (caller, service) = (bench.open().await, Arc::new(bench.open().await));
    // Any bytes, from none to many.
    let frames = ["".into(), vec![0, 255, 13, 10], vec![7; 100_000]].map(Bytes::from);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (service, target) = (Arc::clone(&service), caller.target());
        let frame = frames.iter().cycle().nth(task).unwrap().clone();
        tasks.spawn(async move {
            let mut sent = Vec::new();
            for _ in 0..EACH {
                let id = CallId::new();
                let reply = Reply::new(id, target.clone(), frame.clone());
                service.store.store(reply).await.unwrap();
                sent.push((id, frame.clone()));
            }
            sent
        });
    }
    let mut arrived = HashSet::new();
    while arrived.len() < TASKS * EACH {
        arrived.insert(caller.arrived().await);
    }
    let sent = tasks.join_all().await.concat();
    assert_eq!(arrived, sent.into_iter().collect());
}

pub(crate) async fn replies_in_groups_reach_their_inboxes(bench: Bench) {
    const EACH: usize = 60;
    let service = Arc::new(bench.open().await);
    let (one, two, gone) = (bench.open().await, bench.open().await, bench.open().await);
    let targets = [one.target(), two.target(), gone.target()];
    gone.store.close().await;
    let mut tasks = JoinSet::new();
    for (to, target) in targets.into_iter().enumerate() {
        for count in 0..EACH {
            let (service, target) = (Arc::clone(&service), target.clone());
            tasks.spawn(async move {
                let id = CallId::new();
                let reply = reply(id, target, "ok").groupable(count % 4 != 0);
                (to, id, service.store.store(reply).await.unwrap())
            });
        }
    }
    let mut sent = [HashSet::new(), HashSet::new()];
    for (to, id, stored) in tasks.join_all().await {
        match sent.get_mut(to) {
            Some(sent) => {
                assert_eq!(stored, Stored::AsAsked);
                sent.insert(id);
            }
            None => {
                assert_eq!(stored, Stored::InboxAbsent);
                assert_eq!(service.fetch(id).await, Some("ok".into()));
            }
        }
    }
    for (end, sent) in [one, two].iter().zip(sent) {
        let mut arrived = HashSet::new();
        while arrived.len() < EACH {
            let (id, frame) = end.arrived().await;
            assert_eq!(frame, "ok");
            arrived.insert(id);
        }
        assert_eq!(arrived, sent);
    }
}

pub(crate) async fn a_reply_to_an_inbox_that_is_gone_is_kept(bench: Bench) {
    let (caller, service) = (bench.open().await, bench.open().await);
    let target = caller.target();
    caller.store.close().await;
    let id = CallId::new();
    service.send(id, target.clone(), "first").await;
    service.send(id, target, "second").await;
    assert_eq!(service.fetch(id).await, Some("first".into()));
}

pub(crate) async fn only_inboxes_are_inboxes(bench: Bench) {
    let (caller, service) = (bench.open().await, bench.open().await);
    let inbox = caller.store.inbox();
    assert_ne!(inbox, service.store.inbox());
    assert!(service.store.is_inbox(inbox));
    assert!(service.store.is_inbox(service.store.inbox()));

    // Up to the id that its name ends with.
    let without_id =
        inbox.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "-_}".contains(c));
    assert!(without_id.len() < inbox.len());
    for hostile in [
        String::new(),
        "session:admin".to_owned(),
        without_id.to_owned(),
        format!("{without_id}*"),
        format!("{without_id}not-a-uuid"),
        inbox.to_uppercase(),
        inbox.replace('-', ""),
        format!("{inbox}x"),
        format!(" {inbox}"),
        format!("{inbox}\r\n"),
        format!("{inbox}\0"),
        format!("x{inbox}"),
        format!("{inbox}{inbox}"),
        "a".repeat(1_000_000),
    ] {
        // A name without hyphens, say, is the same without them.
        if hostile != inbox {
            assert!(!service.store.is_inbox(&hostile), "{hostile:.100}");
        }
    }
}

pub(crate) async fn namespaces_are_apart(bench: Bench) {
    let ours = bench.open().await;
    let theirs = bench.open_namespace(&bench.namespace("other")).await;
    assert!(!ours.store.is_inbox(theirs.store.inbox()));
    assert!(!theirs.store.is_inbox(ours.store.inbox()));
    let id = CallId::new();
    ours.send(id, ReplyTarget::Key, "ours").await;
    assert_eq!(theirs.fetch(id).await, None);
    theirs.send(id, ReplyTarget::Key, "theirs").await;
    assert_eq!(ours.fetch(id).await, Some("ours".into()));
}

pub(crate) async fn a_closed_store_is_down(bench: Bench) {
    let end = bench.open().await;
    assert_eq!(end.store.health(), StoreHealth::Up);
    end.store.close().await;
    assert!(matches!(end.store.health(), StoreHealth::Down(_)));
    let reply = reply(CallId::new(), ReplyTarget::Key, "late");
    assert!(end.store.store(reply).await.is_err());
    assert!(end.store.fetch(CallId::new()).await.is_err());
    // Closing again is no mistake.
    end.store.close().await;
}
