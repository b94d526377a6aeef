//! Commands that are cancelled in their records.

use super::{
    bench::{Bench, LONG, SHORT},
    claims::{by, done, lapsed, on, run, unlike_by},
};
use replybus::reply::{Cancel, Cancelled, Claimed, CommandRecord};
use std::sync::Arc;

/// The cancel of that command.
fn cancelling() -> Cancel {
    Cancel::new(by("").key, LONG, "never".into(), "interrupted".into())
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
    let [ends, dies, leaves, undone] = ["ends", "dies", "leaves", "undone"].map(|key| on(key, "a"));
    let mut dies = dies;
    dies.lease = SHORT;
    for claim in [&ends, &leaves, &undone, &dies] {
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
    // One that says that it did nothing was told all the same.
    store.store.release(&undone).await.unwrap();
    for owner in ["b", "c"] {
        assert_eq!(store.claim(&on("undone", owner)).await, done("interrupted"));
    }
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
