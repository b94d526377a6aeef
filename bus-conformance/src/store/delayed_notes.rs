//! Notes of what waits on the broker.

use super::bench::{Bench, LONG, SHORT, changed};
use replybus::{Bytes, CallId, limits::DELAYED_RECORD_BYTES_MAX, reply::DelayedNote};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn note(id: CallId, after: Duration, record: &'static str) -> DelayedNote {
    let due = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + after;
    DelayedNote::new(
        "work.requests",
        id,
        due,
        Bytes::from_static(record.as_bytes()),
    )
}

pub(crate) async fn what_waits_is_listed_until_it_is_due_or_forgotten(bench: Bench) {
    let (caller, other) = (bench.open().await, bench.open().await);
    let theirs = bench.open_namespace(&bench.namespace("other")).await;
    let listed = async || other.store.delayed("work.requests").await.unwrap();
    assert!(listed().await.is_empty());
    let [first, later, soon, past] = [(); 4].map(|()| CallId::new());
    for note in [
        note(later, 2 * LONG, "later"),
        note(first, LONG, "the first"),
        // Noted again it is the same one.
        note(first, LONG, "first"),
        note(soon, SHORT, "soon"),
        note(past, Duration::ZERO, "past"),
    ] {
        caller.store.note_delayed(&note).await.unwrap();
    }
    assert_eq!(listed().await, ["soon", "first", "later"]);
    assert!(
        theirs
            .store
            .delayed("work.requests")
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        other
            .store
            .delayed("other.requests")
            .await
            .unwrap()
            .is_empty()
    );
    let all: Vec<Bytes> = ["soon", "first", "later"].map(Bytes::from).to_vec();
    assert_eq!(changed(all, listed).await, ["first", "later"]);
    for _ in 0..2 {
        other
            .store
            .forget_delayed("work.requests", first)
            .await
            .unwrap();
    }
    assert_eq!(listed().await, ["later"]);
    // Whoever delayed it is late with its note, or was never heard of before.
    let unheard = CallId::new();
    other
        .store
        .forget_delayed("work.requests", unheard)
        .await
        .unwrap();
    for id in [first, unheard] {
        let late = note(id, LONG, "late");
        caller.store.note_delayed(&late).await.unwrap();
    }
    assert_eq!(listed().await, ["later"]);
}

pub(crate) async fn a_note_that_is_too_large_is_not_read(bench: Bench) {
    let end = bench.open().await;
    for bytes in [DELAYED_RECORD_BYTES_MAX, DELAYED_RECORD_BYTES_MAX + 1] {
        let mut large = note(CallId::new(), LONG, "");
        large.record = Bytes::from(vec![b'x'; bytes]);
        end.store.note_delayed(&large).await.unwrap();
    }
    let listed = end.store.delayed("work.requests").await.unwrap();
    let bytes: Vec<usize> = listed.iter().map(Bytes::len).collect();
    assert_eq!(bytes, [DELAYED_RECORD_BYTES_MAX]);
}
