//! The records of serving instances.

use super::bench::{Bench, End, LONG, SHORT, changed};
use replybus::{
    Bytes, CallId, limits::PRESENCE_RECORD_BYTES_MAX, presence::InstanceId, reply::Presence,
};

fn id() -> InstanceId {
    InstanceId::from_bytes(*CallId::new().as_bytes())
}

fn presence(instance: InstanceId, record: &'static str) -> Presence {
    Presence::new(
        "work.requests",
        instance,
        Bytes::from_static(record.as_bytes()),
    )
    .ttl(LONG)
}

async fn listed(end: &End, queue: &str) -> Vec<Bytes> {
    let mut records = end.store.present(queue).await.unwrap();
    records.sort();
    records
}

pub(crate) async fn who_serves_a_queue_is_listed_until_withdrawn(bench: Bench) {
    let (worker, other) = (bench.open().await, bench.open().await);
    assert!(listed(&other, "work.requests").await.is_empty());
    let any = async |queue| other.store.one_present(queue).await.unwrap();
    assert_eq!(any("work.requests").await, None);
    let (one, two) = (id(), id());
    worker.store.announce(&presence(one, "one")).await.unwrap();
    other.store.announce(&presence(two, "two")).await.unwrap();
    // Announced again it is the same one.
    worker
        .store
        .announce(&presence(one, "one, later"))
        .await
        .unwrap();
    assert_eq!(listed(&other, "work.requests").await, ["one, later", "two"]);
    assert!(listed(&other, "other.requests").await.is_empty());
    let found = any("work.requests").await.unwrap();
    assert!(found == "one, later" || found == "two", "{found:?}");
    assert_eq!(any("other.requests").await, None);

    worker.store.withdraw("work.requests", one).await.unwrap();
    assert_eq!(listed(&worker, "work.requests").await, ["two"]);
    assert_eq!(any("work.requests").await.unwrap(), "two");
    for _ in 0..2 {
        worker.store.withdraw("work.requests", two).await.unwrap();
    }
    assert!(listed(&worker, "work.requests").await.is_empty());
}

pub(crate) async fn who_is_not_heard_of_any_more_is_gone(bench: Bench) {
    let end = bench.open().await;
    let (killed, alive) = (id(), id());
    let last = presence(killed, "killed").ttl(SHORT);
    end.store.announce(&last).await.unwrap();
    end.store.announce(&presence(alive, "alive")).await.unwrap();
    let both: Vec<Bytes> = vec!["alive".into(), "killed".into()];
    assert_eq!(listed(&end, "work.requests").await, both);
    let left = changed(both, || listed(&end, "work.requests")).await;
    assert_eq!(left, ["alive"]);
}

pub(crate) async fn queues_are_listed_until_the_last_who_serves_one_withdraws(bench: Bench) {
    let end = bench.open().await;
    let theirs = bench.open_namespace(&bench.namespace("other")).await;
    let queues = async || {
        let mut queues = end.store.present_queues().await.unwrap();
        queues.sort();
        queues
    };
    assert!(queues().await.is_empty());
    let (lost, one, two) = (id(), id(), id());
    for (queue, id, ttl) in [
        ("b.requests", lost, SHORT),
        ("a.requests", one, LONG),
        ("a.requests", two, LONG),
    ] {
        let presence = Presence::new(queue, id, Bytes::from_static(b"record")).ttl(ttl);
        end.store.announce(&presence).await.unwrap();
    }
    let both = vec!["a.requests".to_owned(), "b.requests".to_owned()];
    assert_eq!(queues().await, both);
    assert!(theirs.store.present_queues().await.unwrap().is_empty());
    // Its last instance is not heard of any more, and it is not forgotten for that.
    let record = vec![Bytes::from_static(b"record")];
    let left = changed(record, || listed(&end, "b.requests")).await;
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(queues().await, both);
    end.store.withdraw("a.requests", one).await.unwrap();
    assert_eq!(queues().await, both);
    end.store.withdraw("a.requests", two).await.unwrap();
    assert_eq!(queues().await, ["b.requests"]);
}

pub(crate) async fn instances_of_other_namespaces_are_not_listed(bench: Bench) {
    let ours = bench.open().await;
    let theirs = bench.open_namespace(&bench.namespace("other")).await;
    ours.store.announce(&presence(id(), "ours")).await.unwrap();
    assert!(listed(&theirs, "work.requests").await.is_empty());
}

pub(crate) async fn a_record_that_is_too_large_is_not_read(bench: Bench) {
    let end = bench.open().await;
    for bytes in [PRESENCE_RECORD_BYTES_MAX, PRESENCE_RECORD_BYTES_MAX + 1] {
        let record = Bytes::from(vec![b'x'; bytes]);
        let presence = Presence::new("work.requests", id(), record).ttl(LONG);
        end.store.announce(&presence).await.unwrap();
    }
    let listed = listed(&end, "work.requests").await;
    let bytes: Vec<usize> = listed.iter().map(Bytes::len).collect();
    assert_eq!(bytes, [PRESENCE_RECORD_BYTES_MAX]);
}
