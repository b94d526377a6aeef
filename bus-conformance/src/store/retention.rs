//! How long outcomes are remembered, and until when a command may begin.

use super::{
    bench::{Bench, End, LONG, SHORT, changed},
    claims::{brief_claims_lapse, briefly_by, by, done, on, run},
};
use replybus::reply::Claimed;
use std::time::{Duration, SystemTime};

/// Long enough for a claim to be asked for before it is over.
const SOON: Duration = Duration::from_secs(2);

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
