//! Claims and outcomes that are asked for at the same time: one script, and each its own answer.

use crate::opened::{claim, open, private, raw, to_inbox};
use bytes::Bytes;
use deadpool_redis::redis;
use replybus::reply::{Claimed, ReplyStore, Stored};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::unique,
    proxy::{Mode, Proxy},
    wait::bounded,
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// Asks for all at the same time.
async fn all<F>(store: &Arc<dyn ReplyStore>, ask: impl Fn(Arc<dyn ReplyStore>, usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for at in 0..100 {
        tasks.spawn(ask(Arc::clone(store), at));
    }
    tasks.join_all().await;
}

async fn scripts_run(url: &str) -> usize {
    let mut server = raw(url).await;
    let mut info = redis::cmd("INFO");
    let info: String = info
        .arg("commandstats")
        .query_async(&mut server)
        .await
        .unwrap();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    line.unwrap().split(',').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_is_asked_at_the_same_time_is_one_script_and_has_its_own_answers() {
    let Some(server) = private().await else {
        return;
    };
    let (store, heard) = open(&RedisReplies::new(server.url())).await;
    let key = |at: usize| format!("together-{}", at / 2);
    let before = scripts_run(&server.url()).await;
    // Of two that ask for one, one may.
    let taken = Arc::new(std::sync::Mutex::new(Vec::new()));
    all(&store, |store, at| {
        let (claim, taken) = (claim(&key(at), &format!("owner {at}")), Arc::clone(&taken));
        async move {
            match store.claim(&claim).await.unwrap() {
                Claimed::Run { attempt: 1 } => taken.lock().unwrap().push((at, claim)),
                answer => assert_eq!(answer, Claimed::Running),
            }
        }
    })
    .await;
    let taken = std::mem::take(&mut *taken.lock().unwrap());
    assert_eq!(taken.len(), 50);
    let mut tasks = JoinSet::new();
    for (at, claim) in taken {
        let (reply, store) = (to_inbox(&store, &format!("{at}")), Arc::clone(&store));
        // Every third reads no groups.
        let reply = reply.groupable(at % 3 != 0).record(claim.clone());
        tasks.spawn(async move {
            assert_eq!(store.store(reply.clone()).await.unwrap(), Stored::AsAsked);
            (claim, reply)
        });
    }
    for (claim, reply) in tasks.join_all().await {
        assert_eq!(heard.reply(reply.id).await, reply.frame);
        let recorded = store.claim(&claim).await.unwrap();
        assert_eq!(recorded, Claimed::Done(reply.frame));
    }
    // 150 without batches, and 50 to look.
    let run = scripts_run(&server.url()).await - before;
    assert!(run < 50 + 75, "{run} scripts");
}

#[tokio::test]
async fn one_that_is_refused_is_refused_alone() {
    let Some(server) = private().await else {
        return;
    };
    let (store, heard) = open(&RedisReplies::new(server.url())).await;
    let mut admin = raw(&server.url()).await;
    // Somebody else's keys.
    for at in [13, 77] {
        let mut set = redis::cmd("SET");
        set.arg(format!("replybus:claim:refused-{at}"))
            .arg("no claim");
        let _: () = set.query_async(&mut admin).await.unwrap();
    }
    all(&store, |store, at| async move {
        let claimed = store.claim(&claim(&format!("refused-{at}"), "mine")).await;
        match at {
            13 | 77 => assert!(claimed.is_err()),
            _ => assert_eq!(claimed.unwrap(), Claimed::Run { attempt: 1 }),
        }
    })
    .await;
    let heard = &heard;
    all(&store, |store, at| {
        let heard = Arc::clone(heard);
        async move {
            let reply = to_inbox(&store, &format!("{at}")).groupable(at % 2 == 0);
            let reply = reply.record(claim(&format!("refused-{at}"), "mine"));
            let stored = store.store(reply.clone()).await;
            match at {
                13 | 77 => assert!(stored.is_err()),
                _ => assert_eq!(heard.reply(reply.id).await, reply.frame),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_an_earlier_run_recorded_goes_to_who_reads_groups() {
    let Some(server) = private().await else {
        return;
    };
    let (store, heard) = open(&RedisReplies::new(server.url())).await;
    let (gone, _) = open(&RedisReplies::new(server.url())).await;
    gone.close().await;
    let heard = &heard;
    let gone = &gone;
    all(&store, |store, at| {
        let (heard, gone) = (Arc::clone(heard), Arc::clone(gone));
        async move {
            let claim = claim(&format!("earlier-{at}"), "mine");
            let first = "x".repeat(at * 10);
            let mut reply = to_inbox(&store, &first)
                .groupable(true)
                .record(claim.clone());
            store.store(reply.clone()).await.unwrap();
            assert_eq!(heard.reply(reply.id).await, first);
            // The same outcome is told, whatever a second run says, and to nobody's inbox.
            let mut absent = to_inbox(&gone, "second").groupable(true).record(claim);
            store.store(absent.clone()).await.unwrap();
            assert_eq!(store.fetch(absent.id).await.unwrap().unwrap(), first);
            let fresh = unique("fresh");
            absent.record = Some(crate::opened::claim(&fresh, "mine"));
            absent.id = replybus::CallId::new();
            assert_eq!(store.store(absent).await.unwrap(), Stored::InboxAbsent);
            reply.id = replybus::CallId::new();
            reply.frame = Bytes::from_static(b"second");
            store.store(reply.clone()).await.unwrap();
            assert_eq!(heard.reply(reply.id).await, first);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_let_no_command_run_twice() {
    let Some(server) = private().await else {
        return;
    };
    let (proxy, url) = Proxy::before(&server.url(), 6379).await.unwrap();
    let replies = RedisReplies::new(url).response_timeout(Duration::from_millis(300));
    let (store, _) = open(&replies).await;
    bounded(async {
        let mut tasks = JoinSet::new();
        for task in 0..32_usize {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                for count in 0..20 {
                    // Two owners want each key; one of them gets it, as often as it asks.
                    let key = format!("cut-{}-{count}", task / 2);
                    let claim = claim(&key, &format!("{task}"));
                    let claimed = loop {
                        if let Ok(claimed) = store.claim(&claim).await {
                            break claimed;
                        }
                    };
                    if claimed != (Claimed::Run { attempt: 1 }) {
                        assert!(
                            matches!(claimed, Claimed::Running | Claimed::Done(_)),
                            "{claimed:?}"
                        );
                        continue;
                    }
                    let reply = to_inbox(&store, &format!("{task}")).record(claim.clone());
                    while store.store(reply.clone()).await.is_err() {}
                    loop {
                        if let Ok(recorded) = store.claim(&claim).await {
                            assert_eq!(recorded, Claimed::Done(reply.frame.clone()));
                            break;
                        }
                    }
                }
            });
        }
        let cutting = async {
            loop {
                proxy.set(Mode::Cut);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            _ = tasks.join_all() => {}
            () = cutting => unreachable!(),
        }
    })
    .await;
}
