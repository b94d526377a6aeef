//! Who may run a command, and what is remembered of it.

use super::bench::{Bench, End, LONG, SHORT, changed, reply};
use replybus::{
    CallId,
    reply::{Claim, Claimed, CommandRecord, ReplyTarget, Stored},
};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// A claim that does not lapse while a test runs.
pub(super) fn by(owner: &str) -> Claim {
    on("Accounts.post:42", owner)
}

/// The same on another key.
pub(super) fn on(key: &str, owner: &str) -> Claim {
    Claim::new(key, [1; 16], owner).lease(LONG).retention(LONG)
}

/// The same for another request.
pub(super) fn unlike_by(owner: &str) -> Claim {
    let mut claim = by(owner);
    claim.fingerprint = [2; 16];
    claim
}

/// A claim that soon lapses.
pub(super) fn briefly_by(owner: &str) -> Claim {
    by(owner).lease(SHORT)
}

pub(super) fn run(attempt: u32) -> Claimed {
    Claimed::Run { attempt }
}

pub(super) fn done(frame: &'static str) -> Claimed {
    Claimed::Done(frame.into())
}

/// Asks until the claim that somebody else holds lapses.
pub(super) async fn lapsed(store: &End, claim: &Claim) -> Claimed {
    let briefly = claim.clone().lease(SHORT);
    changed(Claimed::Running, || store.claim(&briefly)).await;
    // The same owner asks again.
    store.claim(claim).await
}

/// Waits until a brief claim that is made now, under a key of its own, has lapsed: those that were
/// made before have, too.
pub(super) async fn brief_claims_lapse(store: &End, key: &str) {
    assert_eq!(store.claim(&on(key, "a").lease(SHORT)).await, run(1));
    assert_eq!(lapsed(store, &on(key, "b")).await, run(2));
}

pub(crate) async fn one_of_many_runs(bench: Bench) {
    let store = Arc::new(bench.open().await);
    let mut asking = JoinSet::new();
    for owner in 0..32 {
        let store = Arc::clone(&store);
        asking.spawn(async move { store.claim(&by(&owner.to_string())).await });
    }
    let answers = asking.join_all().await;
    let running = answers.iter().filter(|answer| **answer == Claimed::Running);
    assert_eq!(running.count(), 31);
    assert!(answers.contains(&run(1)));
    // Another key is another matter.
    let other = on("Accounts.post:43", "a");
    assert_eq!(store.claim(&other).await, run(1));
}

pub(crate) async fn the_same_owner_gets_the_same_answer(bench: Bench) {
    let store = bench.open().await;
    for _ in 0..3 {
        assert_eq!(store.claim(&by("a")).await, run(1));
    }
    store.finish(&by("a"), "ok").await;
    for _ in 0..3 {
        assert_eq!(store.claim(&by("a")).await, done("ok"));
    }
}

pub(crate) async fn an_outcome_is_stored_with_its_reply(bench: Bench) {
    let (caller, service) = (bench.open().await, bench.open().await);
    for (key, target) in [
        ("inbox", caller.target()),
        ("key", ReplyTarget::Key),
        ("none", ReplyTarget::None),
    ] {
        let claim = on(key, "a");
        assert_eq!(service.claim(&claim).await, run(1));
        let id = CallId::new();
        let reply = reply(id, target.clone(), "ok").record(claim);
        service.store.store(reply).await.unwrap();
        assert_eq!(service.claim(&on(key, "b")).await, done("ok"));
        match target {
            ReplyTarget::Inbox(_) => assert_eq!(caller.arrived().await, (id, "ok".into())),
            ReplyTarget::Key => assert_eq!(caller.fetch(id).await, Some("ok".into())),
            ReplyTarget::None => assert_eq!(caller.fetch(id).await, None),
        }
    }
}

pub(crate) async fn the_first_outcome_wins(bench: Bench) {
    let store = bench.open().await;
    store.claim(&by("a")).await;
    store.finish(&by("a"), "first").await;
    store.finish(&by("a"), "second").await;
    assert_eq!(store.claim(&by("b")).await, done("first"));
}

pub(crate) async fn another_fingerprint_is_a_conflict(bench: Bench) {
    let store = bench.open().await;
    let other = unlike_by("b");
    let other_of_the_same_owner = unlike_by("a");
    store.claim(&by("a")).await;
    assert_eq!(store.claim(&other).await, Claimed::Conflict);
    assert_eq!(
        store.claim(&other_of_the_same_owner).await,
        Claimed::Conflict
    );
    store.finish(&by("a"), "ok").await;
    assert_eq!(store.claim(&other).await, Claimed::Conflict);
    assert_eq!(store.claim(&by("a")).await, done("ok"));
}

pub(crate) async fn a_lapsed_claim_goes_to_the_next_owner(bench: Bench) {
    let store = bench.open().await;
    assert_eq!(store.claim(&briefly_by("a")).await, run(1));
    assert_eq!(lapsed(&store, &briefly_by("b")).await, run(2));
    assert_eq!(lapsed(&store, &by("c")).await, run(3));
    assert_eq!(store.claim(&by("c")).await, run(3));
    assert_eq!(store.claim(&by("a")).await, Claimed::Running);
}

pub(crate) async fn an_owner_that_lost_its_claim_records_nothing(bench: Bench) {
    let store = bench.open().await;
    store.claim(&briefly_by("a")).await;
    lapsed(&store, &by("b")).await;
    assert!(!store.store.renew(&by("a")).await.unwrap());
    store.store.release(&by("a")).await.unwrap();
    store.finish(&by("a"), "from the dead").await;
    assert_eq!(store.claim(&by("c")).await, Claimed::Running);
    assert!(store.store.renew(&by("b")).await.unwrap());
    store.finish(&by("b"), "ok").await;
    assert_eq!(store.claim(&by("a")).await, done("ok"));
}

pub(crate) async fn callers_of_one_command_get_one_outcome(bench: Bench) {
    let (caller, service) = (bench.open().await, bench.open().await);
    let outcome = |owner: &str, id, frame| reply(id, caller.target(), frame).record(by(owner));
    let (dead, first, late) = (CallId::new(), CallId::new(), CallId::new());
    service.claim(&briefly_by("a")).await;
    lapsed(&service, &by("b")).await;
    for (reply, to) in [
        // Not sent: the outcome is still to come.
        (outcome("a", dead, "from the dead"), Stored::TakenOver),
        (outcome("b", first, "ok"), Stored::AsAsked),
        (outcome("a", late, "from the dead"), Stored::AsAsked),
    ] {
        assert_eq!(service.store.store(reply).await.unwrap(), to);
    }
    assert_eq!(caller.arrived().await, (first, "ok".into()));
    assert_eq!(caller.arrived().await, (late, "ok".into()));
}

pub(crate) async fn a_claim_whose_record_is_gone_is_made_again(bench: Bench) {
    let store = bench.open().await;
    assert!(store.store.renew(&by("a")).await.unwrap());
    assert_eq!(store.claim(&by("b")).await, Claimed::Running);
    store.finish(&by("a"), "ok").await;
    assert_eq!(store.claim(&by("b")).await, done("ok"));
    assert!(store.store.renew(&by("a")).await.unwrap());
    assert!(!store.store.renew(&by("b")).await.unwrap());
    assert_eq!(store.claim(&by("b")).await, done("ok"));
}

pub(crate) async fn a_renewed_claim_does_not_lapse(bench: Bench) {
    let store = bench.open().await;
    store.claim(&briefly_by("a")).await;
    assert!(store.store.renew(&by("a")).await.unwrap());
    brief_claims_lapse(&store, "first").await;
    assert_eq!(store.claim(&by("b")).await, Claimed::Running);

    // Late is not too late while nobody else asked.
    assert!(store.store.renew(&briefly_by("a")).await.unwrap());
    brief_claims_lapse(&store, "second").await;
    assert!(store.store.renew(&by("a")).await.unwrap());
    assert_eq!(store.claim(&by("b")).await, Claimed::Running);
    assert_eq!(store.claim(&by("a")).await, run(1));
}

pub(crate) async fn who_was_away_may_renew_before_another_runs(bench: Bench) {
    let store = bench.open().await;
    store.claim(&briefly_by("a")).await;
    for standstill in ["first", "second"] {
        brief_claims_lapse(&store, standstill).await;
        assert_eq!(store.claim(&by("b")).await, Claimed::Running);
        assert!(store.store.renew(&briefly_by("a")).await.unwrap());
    }
    assert_eq!(lapsed(&store, &by("b")).await, run(2));
}

pub(crate) async fn a_claim_without_a_lease_holds_nobody_off_and_counts(bench: Bench) {
    let store = bench.open().await;
    let by = |owner: &str| by(owner).lease(Duration::ZERO);
    for attempt in 1..=3 {
        assert_eq!(store.claim(&by(&attempt.to_string())).await, run(attempt));
    }
    // The last of them ended.
    store.store.release(&by("3")).await.unwrap();
    assert_eq!(store.claim(&by("4")).await, run(3));
}

pub(crate) async fn a_record_tells_what_became_of_its_command(bench: Bench) {
    let store = bench.open().await;
    let key = by("a").key;
    let running = |expected: (u32, bool, Option<&'static str>)| {
        let store = &store.store;
        let key = &key;
        async move {
            match store.record(key).await.unwrap() {
                Some(CommandRecord::Running {
                    attempt,
                    lease_left,
                    progress,
                    ..
                }) => {
                    assert!(lease_left <= LONG, "{lease_left:?}");
                    let noted = progress.map(|noted| String::from_utf8(noted.into()).unwrap());
                    let told = (attempt, !lease_left.is_zero(), noted.as_deref());
                    assert_eq!(told, expected);
                }
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(store.store.record(&key).await.unwrap(), None);
    store.claim(&by("a")).await;
    running((1, true, None)).await;
    store
        .store
        .note(&by("b"), "not theirs".into())
        .await
        .unwrap();
    running((1, true, None)).await;
    for noted in ["a half", "all"] {
        store.store.note(&by("a"), noted.into()).await.unwrap();
        assert!(store.store.renew(&by("a")).await.unwrap());
        running((1, true, Some(noted))).await;
    }
    store.store.lapse(&by("a")).await.unwrap();
    running((1, false, Some("all"))).await;
    assert_eq!(store.claim(&by("b")).await, run(2));
    running((2, true, None)).await;
    store
        .store
        .note(&by("a"), "from the dead".into())
        .await
        .unwrap();
    running((2, true, None)).await;
    store.finish(&by("b"), "ok").await;
    store
        .store
        .note(&by("b"), "after the end".into())
        .await
        .unwrap();
    let record = store.store.record(&key).await.unwrap();
    assert_eq!(record, Some(CommandRecord::Done("ok".into())));
    // To look is not to ask.
    assert_eq!(store.claim(&by("c")).await, done("ok"));
}

pub(crate) async fn a_released_claim_does_not_count(bench: Bench) {
    let store = bench.open().await;
    store.claim(&by("a")).await;
    store.store.release(&by("a")).await.unwrap();
    // Not even the owner's own.
    assert_eq!(store.claim(&briefly_by("b")).await, run(1));
    assert_eq!(lapsed(&store, &by("c")).await, run(2));
    store.store.release(&by("c")).await.unwrap();
    store.store.release(&by("c")).await.unwrap();
    store.finish(&by("c"), "given up").await;
    assert_eq!(store.claim(&by("d")).await, run(2));
    // What is done is done.
    store.finish(&by("d"), "ok").await;
    store.store.release(&by("d")).await.unwrap();
    assert_eq!(store.claim(&by("e")).await, done("ok"));
}

pub(crate) async fn a_run_that_lapsed_counts(bench: Bench) {
    let store = bench.open().await;
    store.claim(&by("a")).await;
    store.store.lapse(&by("b")).await.unwrap();
    assert_eq!(store.claim(&by("b")).await, Claimed::Running);
    store.store.lapse(&by("a")).await.unwrap();
    store.finish(&by("a"), "from the dead").await;
    assert_eq!(store.claim(&by("b")).await, run(2));
    assert!(!store.store.renew(&by("a")).await.unwrap());
    store.finish(&by("b"), "ok").await;
    store.store.lapse(&by("b")).await.unwrap();
    assert_eq!(store.claim(&by("c")).await, done("ok"));
    // Nor does it make a record that was not there.
    let other = on("Accounts.post:43", "a");
    store.store.lapse(&other).await.unwrap();
    assert_eq!(store.claim(&other).await, run(1));
}
