//! A server whose clock on the wall is put forward and back. It counts leases, records and expiries by
//! it.

use crate::opened::{claim, open, reply, to_inbox};
use bytes::Bytes;
use replybus::{
    CallId,
    presence::InstanceId,
    reply::{Claimed, Presence, ReplyStore, ReplyTarget},
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::require_or_skip,
    servers::{PrivateRedis, Shown, WallClock},
    wait::{bounded, eventually},
};
use std::{sync::Arc, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);
/// The lease of a command.
const LEASE: Duration = Duration::from_secs(3);

/// A server, and its clock.
async fn clocked() -> Option<(PrivateRedis, WallClock)> {
    let clock = require_or_skip(WallClock::new())?;
    let server = require_or_skip(PrivateRedis::by(&clock).await)?;
    Some((server, clock))
}

/// Asks for a claim that another has until it is given.
async fn taken_over(store: &Arc<dyn ReplyStore>, key: &str) {
    let yours = claim(key, "yours").lease(LEASE);
    eventually("the claim lapses", || async {
        store.claim(&yours).await.unwrap() == Claimed::Run { attempt: 2 }
    })
    .await;
}

#[tokio::test]
async fn a_claim_of_who_died_lapses_though_the_clock_is_put_back() {
    let Some((server, clock)) = clocked().await else {
        return;
    };
    let (store, _) = open(&RedisReplies::new(server.url())).await;
    let mine = |key| claim(key, "mine").lease(LEASE);
    for key in ["quiet", "renewed", "contested"] {
        let claimed = store.claim(&mine(key)).await.unwrap();
        assert_eq!(claimed, Claimed::Run { attempt: 1 });
    }
    assert!(store.renew(&mine("renewed")).await.unwrap());
    // It is asked for when its lease is over, and from then on has half a lease to be renewed.
    clock.set(Shown::Ahead(LEASE)).unwrap();
    let yours = claim("contested", "yours").lease(LEASE);
    assert_eq!(store.claim(&yours).await.unwrap(), Claimed::Running);
    clock.set(Shown::Behind(HOUR)).unwrap();
    taken_over(&store, "contested").await;
    for key in ["quiet", "renewed"] {
        taken_over(&store, key).await;
    }
}

#[tokio::test]
async fn a_claim_of_who_lives_is_given_to_nobody_else_though_the_clock_jumps() {
    let Some((server, clock)) = clocked().await else {
        return;
    };
    let (store, _) = open(&RedisReplies::new(server.url())).await;
    // As of a command with a key: its record outlives the jump.
    let remembered = |owner| claim("k", owner).lease(LEASE).retention(HOUR * 24);
    let (mine, yours) = (remembered("mine"), remembered("yours"));
    let run = Claimed::Run { attempt: 1 };
    assert_eq!(store.claim(&mine).await.unwrap(), run);
    let shown = [
        Shown::Ahead(HOUR),
        Shown::Right,
        Shown::Behind(HOUR),
        Shown::Right,
    ];
    for shown in shown {
        clock.set(shown).unwrap();
        assert_eq!(store.claim(&yours).await.unwrap(), Claimed::Running);
        assert!(store.renew(&mine).await.unwrap());
        assert_eq!(store.claim(&yours).await.unwrap(), Claimed::Running);
    }
    let outcome = reply(ReplyTarget::None, "outcome").record(mine);
    store.store(outcome).await.unwrap();
    for shown in shown {
        clock.set(shown).unwrap();
        let done = Claimed::Done("outcome".into());
        assert_eq!(store.claim(&yours).await.unwrap(), done);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_arrive_whatever_the_clock_shows() {
    let Some((server, clock)) = clocked().await else {
        return;
    };
    let (here, heard) = open(&RedisReplies::new(server.url())).await;
    let (worker, _) = open(&RedisReplies::new(server.url())).await;
    let shown = [
        Shown::Ahead(HOUR),
        Shown::Right,
        Shown::Behind(HOUR),
        Shown::Right,
    ];
    bounded(async {
        for (round, shown) in shown.into_iter().cycle().take(12).enumerate() {
            let waiting = to_inbox(&here, &format!("across jump {round}"));
            heard.wait_for(waiting.id);
            clock.set(shown).unwrap();
            worker.store(waiting.clone()).await.unwrap();
            assert_eq!(heard.reply(waiting.id).await, waiting.frame);
        }
    })
    .await;
}

#[tokio::test]
async fn who_died_is_not_listed_for_as_long_as_the_clock_was_put_back() {
    let Some((server, clock)) = clocked().await else {
        return;
    };
    let (store, _) = open(&RedisReplies::new(server.url())).await;
    let announce = |queue, ttl| {
        let record = Bytes::from_static(b"record");
        let id = InstanceId::from_bytes(*CallId::new().as_bytes());
        let presence = Presence::new(queue, id, record).ttl(ttl);
        let store = &store;
        async move { store.announce(&presence).await.unwrap() }
    };
    announce("work.requests", LEASE).await;
    announce("work.requests", LEASE * 2).await;
    announce("work.requests", LEASE).await;
    assert_eq!(store.present("work.requests").await.unwrap().len(), 3);
    clock.set(Shown::Behind(HOUR)).unwrap();
    // Its time began before the server's: it can't have been announced.
    assert_eq!(store.present("work.requests").await.unwrap().len(), 0);
    announce("work.requests", LEASE).await;
    assert_eq!(store.present("work.requests").await.unwrap().len(), 1);
}
