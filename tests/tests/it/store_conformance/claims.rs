//! Who may run a command, and what is remembered of it.

use super::bench::{Bench, End, LONG, SHORT, changed, reply};
use replybus::{
    CallId,
    reply::{Cancel, Cancelled, Claim, Claimed, CommandRecord, ReplyTarget},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::task::JoinSet;

/// Long enough for a claim to be asked for before it is over.
const SOON: Duration = Duration::from_secs(2);

/// A claim that does not lapse while a test runs.
fn by(owner: &str) -> Claim {
    on("Accounts.post:42", owner)
}

/// The same on another key.
fn on(key: &str, owner: &str) -> Claim {
    Claim::new(key, [1; 16], owner).lease(LONG).retention(LONG)
}

/// The same for another request.
fn unlike_by(owner: &str) -> Claim {
    let mut claim = by(owner);
    claim.fingerprint = [2; 16];
    claim
}

/// The cancel of that command.
fn cancelling() -> Cancel {
    Cancel::new(by("").key, LONG, "never".into(), "interrupted".into())
}

/// A claim that soon lapses.
fn briefly_by(owner: &str) -> Claim {
    by(owner).lease(SHORT)
}

fn run(attempt: u32) -> Claimed {
    Claimed::Run { attempt }
}

fn done(frame: &'static str) -> Claimed {
    Claimed::Done(frame.into())
}

/// Asks until the claim that somebody else holds lapses.
async fn lapsed(store: &End, claim: &Claim) -> Claimed {
    let briefly = claim.clone().lease(SHORT);
    changed(Claimed::Running, || store.claim(&briefly)).await;
    // The same owner asks again.
    store.claim(claim).await
}

/// Waits until a brief claim that is made now, under a key of its own, has lapsed: those that were
/// made before have, too.
async fn brief_claims_lapse(store: &End, key: &str) {
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
    for reply in [
        // Not sent: the outcome is still to come.
        outcome("a", dead, "from the dead"),
        outcome("b", first, "ok"),
        outcome("a", late, "from the dead"),
    ] {
        service.store.store(reply).await.unwrap();
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

pub(crate) async fn what_is_cancelled_before_it_starts_never_does(bench: Bench) {
    let store = bench.open().await;
    for _ in 0..2 {
        let cancelled = store.store.cancel(&cancelling()).await.unwrap();
        assert!(
            matches!(&cancelled, Cancelled::NeverStarted | Cancelled::Done(_)),
            "{cancelled:?}"
        );
        assert_eq!(store.claim(&by("a")).await, done("never"));
        assert_eq!(store.claim(&unlike_by("b")).await, done("never"));
    }
    store.finish(&by("a"), "from the dead").await;
    assert_eq!(store.claim(&by("a")).await, done("never"));
}

pub(crate) async fn what_runs_or_is_done_is_not_cancelled(bench: Bench) {
    let store = bench.open().await;
    store.claim(&by("a")).await;
    let cancelled = store.store.cancel(&cancelling()).await.unwrap();
    assert_eq!(cancelled, Cancelled::Running);
    assert_eq!(store.claim(&by("b")).await, Claimed::Running);
    store.finish(&by("a"), "ok").await;
    for _ in 0..2 {
        let cancelled = store.store.cancel(&cancelling()).await.unwrap();
        assert_eq!(cancelled, Cancelled::Done("ok".into()));
    }
}

pub(crate) async fn what_was_interrupted_is_not_started_again_once_cancelled(bench: Bench) {
    let store = bench.open().await;
    store.claim(&by("a")).await;
    store.store.lapse(&by("a")).await.unwrap();
    let cancelled = store.store.cancel(&cancelling()).await.unwrap();
    assert_eq!(cancelled, Cancelled::Done("interrupted".into()));
    assert_eq!(store.claim(&by("b")).await, done("interrupted"));
    assert_eq!(store.claim(&unlike_by("b")).await, Claimed::Conflict);
}

pub(crate) async fn what_was_cancelled_while_it_ran_is_not_begun_anew(bench: Bench) {
    let store = bench.open().await;
    let [ends, dies, leaves] = ["ends", "dies", "leaves"].map(|key| on(key, "a"));
    let mut dies = dies;
    dies.lease = SHORT;
    for claim in [&ends, &leaves, &dies] {
        assert_eq!(store.claim(claim).await, run(1));
        let cancel = Cancel::new(&*claim.key, LONG, "never".into(), "interrupted".into());
        let cancelled = store.store.cancel(&cancel).await.unwrap();
        assert_eq!(cancelled, Cancelled::Running);
        // Whoever runs it is not disturbed.
        store.store.renew(claim).await.unwrap();
        assert_eq!(store.claim(claim).await, run(1));
        assert!(matches!(
            store.store.record(&claim.key).await.unwrap(),
            Some(CommandRecord::Running { attempt: 1, .. })
        ));
    }
    store.finish(&ends, "ok").await;
    assert_eq!(store.claim(&on("ends", "b")).await, done("ok"));
    store.store.lapse(&leaves).await.unwrap();
    assert_eq!(store.claim(&on("leaves", "b")).await, done("interrupted"));
    assert_eq!(lapsed(&store, &on("dies", "b")).await, done("interrupted"));
    assert_eq!(store.claim(&on("dies", "c")).await, done("interrupted"));
}

pub(crate) async fn a_cancel_and_claims_at_once_agree(bench: Bench) {
    let store = Arc::new(bench.open().await);
    for round in 0..20 {
        let key = round.to_string();
        let cancel = Cancel::new(&key, LONG, "never".into(), "interrupted".into());
        let claim = on(&key, "a");
        let (cancelled, claimed) = tokio::join!(store.store.cancel(&cancel), store.claim(&claim));
        match cancelled.unwrap() {
            Cancelled::NeverStarted => assert_eq!(claimed, done("never")),
            other => assert_eq!((other, claimed), (Cancelled::Running, run(1))),
        }
    }
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

pub(crate) async fn an_outcome_is_forgotten_after_its_retention(bench: Bench) {
    let store = bench.open().await;
    let claim = by("a").retention(SHORT);
    store.claim(&claim).await;
    store.finish(&claim, "ok").await;
    let answer = changed(done("ok"), || store.claim(&claim)).await;
    assert_eq!(answer, run(1));
}

/// Waits until a moment has passed, at which a claim that was taken and given back is refused.
async fn is_over(store: &End, key: &str, moment: SystemTime) {
    let claim = on(key, "a").until(moment);
    let answer = changed(run(1), || async {
        let answer = store.claim(&claim).await;
        store.store.release(&claim).await.unwrap();
        answer
    });
    assert_eq!(answer.await, Claimed::Expired);
}

pub(crate) async fn a_record_that_is_forgotten_lets_nobody_run_it_again(bench: Bench) {
    let store = bench.open().await;
    let until = SystemTime::now() + SOON;
    let by = |owner: &str| {
        briefly_by(owner)
            .retention(Duration::from_millis(1))
            .until(until)
    };
    assert_eq!(store.claim(&by("a")).await, run(1));
    store.finish(&by("a"), "ok").await;
    let heir = by("b");
    let answer = changed(done("ok"), || store.claim(&heir)).await;
    assert_eq!(answer, Claimed::Expired);
    // Nor one that was never known, or whose run took back its claim.
    let late = on("Accounts.post:43", "a").until(SystemTime::now());
    assert_eq!(store.claim(&late).await, Claimed::Expired);
    is_over(&store, "Accounts.post:44", SystemTime::now() + SOON).await;
}

pub(crate) async fn an_outcome_is_kept_until_its_moment(bench: Bench) {
    let store = bench.open().await;
    let until = SystemTime::now() + LONG;
    let by = |owner: &str| by(owner).retention(Duration::from_millis(1)).until(until);
    assert_eq!(store.claim(&by("a").lease(SHORT)).await, run(1));
    store.finish(&by("a"), "ok").await;
    brief_claims_lapse(&store, "later").await;
    assert_eq!(store.claim(&by("b")).await, done("ok"));
}

pub(crate) async fn what_is_known_outlives_its_moment(bench: Bench) {
    let store = bench.open().await;
    let until = SystemTime::now() + SOON;
    let held = by("a").until(until);
    assert_eq!(store.claim(&held).await, run(1));
    is_over(&store, "later", until).await;
    // It runs on; whoever asks is told so, and then of its outcome.
    assert!(store.store.renew(&held).await.unwrap());
    assert_eq!(store.claim(&by("b").until(until)).await, Claimed::Running);
    store.finish(&held, "ok").await;
    assert_eq!(store.claim(&by("b").until(until)).await, done("ok"));
}
