//! Of many workers that ask for one command, one runs it.

use crate::opened::{claim, open, raw, reply, to_inbox};
use bytes::Bytes;
use deadpool_redis::redis::{aio::MultiplexedConnection, cmd as redis_command};
use replybus::reply::{Cancel, Cancelled, Claimed, CommandRecord, ReplyTarget, Stored};
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

/// The key in Redis of the record of a claim.
fn record_of(key: &str) -> String {
    format!("replybus:claim:{key}")
}

async fn text_of(server: &mut MultiplexedConnection, key: &str) -> Vec<u8> {
    let mut get = redis_command("GET");
    get.arg(record_of(key)).query_async(server).await.unwrap()
}

/// Milliseconds until the record expires.
async fn left_of(server: &mut MultiplexedConnection, key: &str) -> i64 {
    let mut left = redis_command("PTTL");
    left.arg(record_of(key)).query_async(server).await.unwrap()
}

fn cancel(key: &str) -> Cancel {
    let [never, interrupted] = ["never started", "interrupted"].map(Into::into);
    Cancel::new(key, Duration::from_secs(60), never, interrupted)
}

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
async fn records_of_earlier_builds_are_read() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(&url)).await;
    let mut server = raw(&url).await;
    let done = Claimed::Done("outcome".into());
    for (fields, answer) in [
        (["state", "done", "frame", "outcome"], done.clone()),
        (
            ["state", "running", "lease_until", "99999999999999"],
            Claimed::Running,
        ),
        (["state", "running", "lease_until", "1"], RUN(4)),
    ] {
        let key = unique("before");
        let mut set = redis_command("HSET");
        set.arg(record_of(&key))
            .arg(&["owner", "theirs", "attempt", "3"]);
        set.arg("fingerprint").arg(&[7_u8; 16][..]).arg(&fields);
        let _: i64 = set.query_async(&mut server).await.unwrap();
        let mut expire = redis_command("PEXPIRE");
        expire.arg(record_of(&key)).arg(60_000);
        let _: bool = expire.query_async(&mut server).await.unwrap();

        let ours = claim(&key, "ours").until(SystemTime::now() + Duration::from_secs(120));
        assert_eq!(store.claim(&ours).await.unwrap(), answer);
        if answer == done {
            assert!(!store.renew(&ours).await.unwrap());
            assert!(store.renew(&claim(&key, "theirs")).await.unwrap());
            let outcome = reply(ReplyTarget::None, "another").record(ours.clone());
            store.store(outcome).await.unwrap();
            // The first one stands.
            assert_eq!(store.claim(&ours).await.unwrap(), done);
        }
    }
}

#[tokio::test]
async fn a_record_is_a_hash_until_it_is_done_and_then_a_text() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(&url)).await;
    let mut server = raw(&url).await;
    let key = unique("layout");
    let ours = claim(&key, "ours").until(SystemTime::now() + Duration::from_secs(120));
    assert_eq!(store.claim(&ours).await.unwrap(), RUN(1));
    let mut read = redis_command("HGETALL");
    read.arg(record_of(&key));
    let running: HashMap<String, Bytes> = read.query_async(&mut server).await.unwrap();
    assert_eq!(
        (&running["state"], &running["owner"]),
        (&"running".into(), &"ours".into())
    );
    assert_eq!(
        (&running["fingerprint"][..], &running["attempt"]),
        (&[7; 16][..], &"1".into())
    );
    assert!(running["lease_until"].len() == 13 && running["lease"] == "60000");
    assert_eq!(running.len(), 6);

    let outcome = reply(ReplyTarget::None, "outcome").record(ours.clone());
    store.store(outcome).await.unwrap();
    assert!(store.renew(&ours).await.unwrap(), "it is still ours");
    assert_eq!(
        text_of(&mut server, &key).await,
        [&[7; 16][..], b"\0\x04ours", b"outcome"].concat()
    );
    let left = left_of(&mut server, &key).await;
    assert!((110_000..=121_000).contains(&left), "{left} ms");

    // What was cancelled before anybody began it: whose it is and what it asks for is not known.
    let key = unique("never");
    store.cancel(&cancel(&key)).await.unwrap();
    let text = text_of(&mut server, &key).await;
    assert_eq!(text, [&[0; 18][..], b"never started"].concat());
    let done = Claimed::Done("never started".into());
    assert_eq!(store.claim(&claim(&key, "any")).await.unwrap(), done);
    assert!(!store.renew(&claim(&key, "any")).await.unwrap());
    let outcome = reply(ReplyTarget::None, "late").record(claim(&key, "any"));
    assert_eq!(store.store(outcome).await.unwrap(), Stored::TakenOver);
    assert_eq!(text_of(&mut server, &key).await, text);
}

#[tokio::test]
async fn a_text_of_a_stranger_fails_its_own_key_and_no_other() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(&url)).await;
    let mut server = raw(&url).await;
    let long = [&[7; 16][..], b"\xff\xff", b"owner"].concat();
    for text in [&[0; 18][..], &[8; 1_000], &long] {
        let (key, other) = (unique("forged"), unique("other"));
        let mut set = redis_command("SET");
        set.arg(record_of(&key)).arg(text).arg("PX").arg(60_000);
        let _: () = set.query_async(&mut server).await.unwrap();
        let (ours, theirs) = (claim(&key, "ours"), claim(&other, "theirs"));
        // They are due together.
        let (forged, given) = tokio::join!(store.claim(&ours), store.claim(&theirs));
        let forged = forged.unwrap();
        let is_refused = matches!(&forged, Claimed::Conflict | Claimed::Done(_));
        assert!(is_refused, "{forged:?}");
        assert_eq!(given.unwrap(), RUN(1));

        let [ended, other_ended] = [ours.clone(), theirs]
            .map(|claim| store.store(reply(ReplyTarget::None, "outcome").record(claim)));
        let (ended, other_ended) = tokio::join!(ended, other_ended);
        ended.unwrap();
        assert_eq!(other_ended.unwrap(), Stored::AsAsked);
        let done = Some(CommandRecord::Done("outcome".into()));
        assert_eq!(store.record(&other).await.unwrap(), done);
        assert!(!store.renew(&ours).await.unwrap());
        store.note(&ours, "half".into()).await.unwrap();
        store.lapse(&ours).await.unwrap();
        store.release(&ours).await.unwrap();
        let looked = store.record(&key).await.unwrap();
        assert!(matches!(looked, Some(CommandRecord::Done(_))), "{looked:?}");
        let cancelled = store.cancel(&cancel(&key)).await.unwrap();
        assert!(matches!(cancelled, Cancelled::Done(_)), "{cancelled:?}");
        assert_eq!(text_of(&mut server, &key).await, text);
    }
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
    let left = left_of(&mut server, &key).await;
    assert!((30_000..=60_000).contains(&left), "{left} ms");
}

#[tokio::test]
async fn outcomes_that_were_not_claimed_or_are_of_who_died_expire_as_well() {
    let Some(url) = redis().await else { return };
    let (store, _) = open(&RedisReplies::new(&url)).await;
    let mut server = raw(&url).await;
    let moment = SystemTime::now() + Duration::from_secs(120);

    // Redis forgot that it was claimed.
    let key = unique("forgotten");
    let outcome = reply(ReplyTarget::None, "outcome");
    let outcome = outcome.record(claim(&key, "mine").until(moment));
    store.store(outcome).await.unwrap();
    let left = left_of(&mut server, &key).await;
    assert!((110_000..=121_000).contains(&left), "{left} ms");

    // It was cancelled while it ran, and whoever ran it died.
    let key = unique("died");
    let mut died = claim(&key, "died");
    died.lease = Duration::from_millis(30);
    assert_eq!(store.claim(&died).await.unwrap(), RUN(1));
    assert_eq!(
        store.cancel(&cancel(&key)).await.unwrap(),
        Cancelled::Running
    );
    let heir = claim(&key, "heir").until(moment);
    eventually("the lease lapses", || async {
        store.claim(&heir).await.unwrap() == Claimed::Done("interrupted".into())
    })
    .await;
    let left = left_of(&mut server, &key).await;
    assert!((110_000..=121_000).contains(&left), "{left} ms");
    let done = Some(CommandRecord::Done("interrupted".into()));
    assert_eq!(store.record(&key).await.unwrap(), done);
}
