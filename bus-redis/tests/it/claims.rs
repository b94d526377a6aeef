//! Of many workers that ask for one command, one runs it.

use crate::opened::{claim, open, raw, reply, to_inbox};
use bytes::Bytes;
use deadpool_redis::redis::cmd as redis_command;
use replybus::reply::{Claimed, ReplyTarget};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::{redis, unique},
    wait::{bounded, eventually},
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

const RUN: fn(u32) -> Claimed = |attempt| Claimed::Run { attempt };

/// Everything a claim can be asked and answer, in order.
pub(crate) async fn table(replies: &RedisReplies) {
    let (store, _) = open(replies).await;
    let key = unique("table");
    let (mine, yours) = (claim(&key, "mine"), claim(&key, "yours"));
    let mut unlike = yours.clone();
    unlike.fingerprint = [8; 16];

    assert_eq!(store.claim(&mine).await.unwrap(), RUN(1));
    assert_eq!(
        store.claim(&mine).await.unwrap(),
        RUN(1),
        "the same owner asks again"
    );
    assert_eq!(store.claim(&yours).await.unwrap(), Claimed::Running);
    assert_eq!(store.claim(&unlike).await.unwrap(), Claimed::Conflict);
    assert!(store.renew(&mine).await.unwrap());
    assert!(!store.renew(&yours).await.unwrap());

    store.release(&yours).await.unwrap();
    assert_eq!(
        store.claim(&yours).await.unwrap(),
        Claimed::Running,
        "not yours to release"
    );
    store.release(&mine).await.unwrap();
    store.release(&mine).await.unwrap();
    assert_eq!(
        store.claim(&yours).await.unwrap(),
        RUN(1),
        "a released attempt does not count"
    );
    assert!(!store.renew(&mine).await.unwrap());
    store.release(&yours).await.unwrap();
    assert_eq!(
        store.claim(&unlike).await.unwrap(),
        RUN(1),
        "a claim that did nothing leaves nothing"
    );
    store.release(&unlike).await.unwrap();
    assert_eq!(store.claim(&yours).await.unwrap(), RUN(1));

    let mut outcome = reply(ReplyTarget::None, "outcome");
    outcome.record = Some(yours.clone());
    store.store(outcome).await.unwrap();
    assert_eq!(
        store.claim(&mine).await.unwrap(),
        Claimed::Done("outcome".into())
    );
    assert_eq!(store.claim(&unlike).await.unwrap(), Claimed::Conflict);
    store.release(&yours).await.unwrap();
    assert_eq!(
        store.claim(&yours).await.unwrap(),
        Claimed::Done("outcome".into())
    );
}

#[tokio::test]
async fn answers_by_the_table() {
    let Some(url) = redis().await else { return };
    bounded(table(&RedisReplies::new(url))).await;
}

#[tokio::test]
async fn a_lapsed_claim_is_taken_over_and_counted() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(url)).await;
    let key = unique("lapse");
    let mut dead = claim(&key, "dead");
    dead.lease = Duration::from_millis(30);
    let heir = claim(&key, "heir");
    assert_eq!(store.claim(&dead).await.unwrap(), RUN(1));
    eventually("the lease lapses", || async {
        store.claim(&heir).await.unwrap() == RUN(2)
    })
    .await;
    assert!(!store.renew(&dead).await.unwrap());
    assert!(store.renew(&heir).await.unwrap());

    store.release(&heir).await.unwrap();
    let third = claim(&key, "third");
    assert_eq!(
        store.claim(&third).await.unwrap(),
        RUN(2),
        "the released attempt does not count"
    );
}

#[tokio::test]
async fn a_claim_that_redis_forgot_is_still_its_holders() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(&url)).await;
    let mut forgets = raw(&url).await;
    let key = unique("forgotten");
    let mine = claim(&key, "mine");
    let yours = claim(&key, "yours");
    assert_eq!(store.claim(&mine).await.unwrap(), RUN(1));
    assert_eq!(store.claim(&yours).await.unwrap(), Claimed::Running);
    let yours = yours.waiting();
    let mut del = redis_command("DEL");
    del.arg(format!("replybus:claim:{key}"));
    let forgotten: u8 = del.query_async(&mut forgets).await.unwrap();
    assert_eq!(forgotten, 1);
    // Both ask after that, and in this order.
    assert_eq!(store.claim(&yours).await.unwrap(), Claimed::Running);
    assert!(store.renew(&mine).await.unwrap());
    assert_eq!(store.claim(&yours).await.unwrap(), Claimed::Running);

    // Nor is an outcome shut out by who asks.
    let _: u8 = del.query_async(&mut forgets).await.unwrap();
    assert_eq!(store.claim(&yours).await.unwrap(), Claimed::Running);
    let mut outcome = reply(ReplyTarget::None, "outcome");
    outcome.record = Some(mine);
    store.store(outcome).await.unwrap();
    let done = Claimed::Done("outcome".into());
    assert_eq!(store.claim(&yours).await.unwrap(), done);
}

#[tokio::test]
async fn a_claim_that_redis_forgot_is_given_when_nobody_renews_it() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(url)).await;
    let heir = claim(&unique("forgotten"), "heir")
        .lease(Duration::from_millis(30))
        .waiting();
    assert_eq!(store.claim(&heir).await.unwrap(), Claimed::Running);
    eventually("the lease lapses", || async {
        store.claim(&heir).await.unwrap() == RUN(2)
    })
    .await;
}

#[tokio::test]
async fn who_waits_for_a_claim_is_given_it_as_soon_as_it_is_released() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(url)).await;
    let key = unique("released");
    let mine = claim(&key, "mine");
    assert_eq!(store.claim(&mine).await.unwrap(), RUN(1));
    store.release(&mine).await.unwrap();
    assert_eq!(
        store.claim(&claim(&key, "yours").waiting()).await.unwrap(),
        RUN(1)
    );
}

#[tokio::test]
async fn renewing_keeps_a_claim_from_lapsing() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(url)).await;
    let (key, unrenewed) = (unique("renew"), unique("renew"));
    for key in [&key, &unrenewed] {
        let mut short = claim(key, "mine");
        short.lease = Duration::from_millis(20);
        assert_eq!(store.claim(&short).await.unwrap(), RUN(1));
    }
    assert!(store.renew(&claim(&key, "mine")).await.unwrap());
    let heir = claim(&unrenewed, "yours");
    eventually("the lease of both would have lapsed", || async {
        store.claim(&heir).await.unwrap() == RUN(2)
    })
    .await;
    assert_eq!(
        store.claim(&claim(&key, "yours")).await.unwrap(),
        Claimed::Running
    );
}

#[tokio::test]
async fn renewing_restores_a_claim_that_redis_lost() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(url)).await;
    let key = unique("lost");
    assert!(store.renew(&claim(&key, "mine")).await.unwrap());
    assert_eq!(
        store.claim(&claim(&key, "yours")).await.unwrap(),
        Claimed::Running
    );
}

#[tokio::test]
async fn a_run_that_was_given_up_changes_nothing() {
    let Some(url) = redis().await else { return };
    let (store, heard) = open(&RedisReplies::new(url)).await;
    let key = unique("zombie");
    let mut zombie = claim(&key, "zombie");
    zombie.lease = Duration::from_millis(1);
    assert_eq!(store.claim(&zombie).await.unwrap(), RUN(1));
    let heir = claim(&key, "heir");
    eventually("the lease lapses", || async {
        store.claim(&heir).await.unwrap() == RUN(2)
    })
    .await;

    // While its heir runs it can neither record nor answer.
    let mut late = to_inbox(&store, "late");
    late.record = Some(zombie.clone());
    store.store(late.clone()).await.unwrap();
    assert_eq!(
        store.claim(&claim(&key, "third")).await.unwrap(),
        Claimed::Running
    );

    // Once the heir is done, what it recorded is the answer to the zombie's caller as well.
    let mut outcome = to_inbox(&store, "outcome");
    outcome.record = Some(heir);
    store.store(outcome.clone()).await.unwrap();
    store.store(late.clone()).await.unwrap();
    assert_eq!(heard.reply(outcome.id).await, "outcome");
    assert_eq!(heard.reply(late.id).await, "outcome");
    assert_eq!(
        store.claim(&zombie).await.unwrap(),
        Claimed::Done("outcome".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_runs() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(url)).await;
    for _ in 0..20 {
        let key = unique("race");
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..32 {
            let (store, claim) = (Arc::clone(&store), claim(&key, &format!("owner-{task}")));
            tasks.spawn(async move { store.claim(&claim).await.unwrap() });
        }
        let answers = tasks.join_all().await;
        assert_eq!(
            answers.iter().filter(|answer| **answer == RUN(1)).count(),
            1
        );
        assert_eq!(
            answers
                .iter()
                .filter(|answer| **answer == Claimed::Running)
                .count(),
            31
        );
    }
}

#[tokio::test]
async fn a_record_outlives_its_lease_and_ends_with_its_retention() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(url)).await;
    let mut claim = claim(&unique("retention"), "mine");
    claim.retention = Duration::from_millis(50);
    let mut outcome = reply(ReplyTarget::None, "outcome");
    outcome.record = Some(claim.clone());
    store.store(outcome).await.unwrap();
    claim.lease = Duration::from_millis(1);
    eventually("the outcome is forgotten", || async {
        store.claim(&claim).await.unwrap() == RUN(1)
    })
    .await;
}

#[tokio::test]
async fn what_is_kept_of_a_claim_expires() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(&url)).await;
    let mut server = raw(&url).await;
    let mut expires = async |key: &str| {
        let mut keys = redis_command("KEYS");
        let keys: Vec<String> = keys
            .arg(format!("*{key}*"))
            .query_async(&mut server)
            .await
            .unwrap();
        assert_eq!(keys.len(), 1, "{keys:?}");
        let mut left = redis_command("PTTL");
        let left: i64 = left.arg(&keys).query_async(&mut server).await.unwrap();
        assert!(left > 0, "{key} stays for ever");
    };
    let claimed = unique("claimed");
    store.claim(&claim(&claimed, "mine")).await.unwrap();
    expires(&claimed).await;

    let renewed = unique("renewed");
    store.renew(&claim(&renewed, "mine")).await.unwrap();
    expires(&renewed).await;

    let done = unique("done");
    let mut outcome = reply(ReplyTarget::None, "outcome");
    outcome.record = Some(claim(&done, "mine"));
    store.store(outcome).await.unwrap();
    expires(&done).await;
}

#[tokio::test]
async fn an_outcome_is_told_to_nobody_who_asked_for_something_else() {
    let Some(url) = redis().await else { return };
    let (store, heard) = open(&RedisReplies::new(url)).await;
    let key = unique("reused");
    let mut outcome = reply(ReplyTarget::None, "outcome");
    outcome.record = Some(claim(&key, "heir"));
    store.store(outcome).await.unwrap();

    // The key was forgotten and used anew while this one ran.
    let mut unlike = claim(&key, "zombie");
    unlike.fingerprint = [8; 16];
    let mut late = to_inbox(&store, "late");
    late.record = Some(unlike);
    store.store(late.clone()).await.unwrap();
    let after = to_inbox(&store, "after");
    store.store(after.clone()).await.unwrap();
    assert_eq!(heard.reply(after.id).await, "after");
    assert_eq!(heard.get(late.id), None);
}

#[tokio::test]
async fn of_two_outcomes_that_go_to_one_call_the_first_arrives() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(&url)).await;
    let (gone, _) = open(&RedisReplies::new(url)).await;
    for mut answer in [reply(ReplyTarget::Key, "first"), to_inbox(&gone, "first")] {
        gone.close().await;
        for frame in ["first", "second"] {
            answer.frame = frame.into();
            answer.record = Some(claim(&unique("twice"), "mine"));
            store.store(answer.clone()).await.unwrap();
        }
        assert_eq!(store.fetch(answer.id).await.unwrap().unwrap(), "first");
    }
}

#[tokio::test]
async fn records_of_the_release_before_are_read_and_ours_are_by_it() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(&url)).await;
    let mut server = raw(&url).await;
    let until = SystemTime::now() + Duration::from_secs(120);
    for (fields, answer) in [
        (
            vec![("state", "done"), ("frame", "outcome")],
            Claimed::Done("outcome".into()),
        ),
        (
            vec![("state", "running"), ("lease_until", "99999999999999")],
            Claimed::Running,
        ),
        (vec![("state", "running"), ("lease_until", "1")], RUN(4)),
    ] {
        let key = unique("before");
        let record = format!("replybus:claim:{key}");
        let mut set = redis_command("HSET");
        set.arg(&record).arg("owner").arg("theirs");
        set.arg("fingerprint")
            .arg(&[7_u8; 16][..])
            .arg("attempt")
            .arg(3);
        for (field, value) in fields {
            set.arg(field).arg(value);
        }
        let _: i64 = set.query_async(&mut server).await.unwrap();
        let mut expire = redis_command("PEXPIRE");
        let _: bool = expire
            .arg(&record)
            .arg(60_000)
            .query_async(&mut server)
            .await
            .unwrap();
        let ours = claim(&key, "ours").until(until);
        assert_eq!(store.claim(&ours).await.unwrap(), answer);
    }

    // As it was written then, field by field.
    let key = unique("now");
    let ours = claim(&key, "ours").until(until);
    assert_eq!(store.claim(&ours).await.unwrap(), RUN(1));
    let mut read = redis_command("HGETALL");
    read.arg(format!("replybus:claim:{key}"));
    let running: HashMap<String, Bytes> = read.query_async(&mut server).await.unwrap();
    assert_eq!(
        (&running["state"], &running["owner"]),
        (&"running".into(), &"ours".into())
    );
    assert_eq!(
        (&running["fingerprint"][..], &running["attempt"]),
        (&[7; 16][..], &"1".into())
    );
    // The release before passes over the length of the lease.
    assert!(running["lease_until"].len() == 13 && running["lease"] == "60000");
    assert_eq!(running.len(), 6);
    let outcome = reply(ReplyTarget::None, "outcome").record(ours);
    store.store(outcome).await.unwrap();
    let done: HashMap<String, Bytes> = read.query_async(&mut server).await.unwrap();
    assert_eq!(
        (&done["state"], &done["frame"]),
        (&"done".into(), &"outcome".into())
    );
    assert_eq!(
        (&done["fingerprint"], &done["owner"]),
        (&running["fingerprint"], &"ours".into())
    );
    let mut left = redis_command("PTTL");
    left.arg(format!("replybus:claim:{key}"));
    let left: i64 = left.query_async(&mut server).await.unwrap();
    assert!((110_000..=121_000).contains(&left), "{left} ms");
}

#[tokio::test]
async fn an_outcome_that_comes_late_is_remembered_for_its_time() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(&url)).await;
    let mut server = raw(&url).await;
    let key = unique("late");
    // Its moment is soon over, as that of a run which goes on past its deadline.
    let moment = SystemTime::now() + Duration::from_secs(5);
    let claim = claim(&key, "mine")
        .lease(Duration::from_secs(3))
        .until(moment);
    assert_eq!(store.claim(&claim).await.unwrap(), RUN(1));
    let outcome = reply(ReplyTarget::None, "outcome").record(claim);
    store.store(outcome).await.unwrap();
    let mut left = redis_command("PTTL");
    left.arg(format!("replybus:claim:{key}"));
    let left: i64 = left.query_async(&mut server).await.unwrap();
    assert!((30_000..=60_000).contains(&left), "{left} ms");
}
