//! The flight record, on every kind of deployment; what is in its stream that the store did not
//! write; and the time for which it is kept.

use crate::opened::{open, private, raw};
use deadpool_redis::redis;
use replybus::{
    Bytes,
    limits::{FLIGHT_EVENT_BYTES_MAX, FLIGHT_PAGE_EVENTS_MAX, FLIGHT_TTL},
    reply::{FlightBatch, FlightCursor, ReplyStore},
};
use replybus_redis::RedisReplies;
use replybus_testkit::wait::AT_MOST;
use std::{sync::Arc, time::Duration};

const KEY: &str = "replybus:flight";

fn batch(events: [&'static str; 3]) -> FlightBatch {
    FlightBatch::new(events.map(Bytes::from).to_vec(), 1000)
}

#[tokio::test]
async fn a_page_of_what_others_put_there_is_followed_by_the_next() {
    let Some(server) = private().await else {
        return;
    };
    let (store, _) = open(&RedisReplies::new(server.url())).await;
    let mut redis = raw(&server.url()).await;
    let mut all = redis::pipe();
    for _ in 0..FLIGHT_PAGE_EVENTS_MAX {
        let add = all.cmd("XADD").arg(KEY).arg("*");
        let large = vec![b'x'; FLIGHT_EVENT_BYTES_MAX + 1];
        add.arg("event").arg(large).ignore();
    }
    let () = all.query_async(&mut redis).await.unwrap();
    // None of them is to make room for these.
    let mut own = batch(["a", "b", "c"]);
    own.keep = 2 * FLIGHT_PAGE_EVENTS_MAX;
    store.record_flight(&own).await.unwrap();
    let first = FlightCursor::Since(Duration::ZERO);
    let page = store.flight_page(&first).await.unwrap();
    assert!(page.events.is_empty());
    let next = page.next.expect("there are more");
    let page = store.flight_page(&next).await.unwrap();
    assert_eq!(
        (page.events, page.next),
        (["a", "b", "c"].map(Bytes::from).to_vec(), None)
    );
}

async fn all(store: &Arc<dyn ReplyStore>) -> Vec<Bytes> {
    let beginning = FlightCursor::Since(Duration::ZERO);
    store.flight_page(&beginning).await.unwrap().events
}

/// Writes from one process, and reads in another.
pub(crate) async fn recorded_and_read(replies: &RedisReplies) {
    let (one, _) = open(replies).await;
    let (other, _) = open(replies).await;
    one.record_flight(&batch(["a", "b", "c"])).await.unwrap();
    other.record_flight(&batch(["d", "e", "f"])).await.unwrap();
    assert_eq!(all(&one).await, ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(all(&other).await.len(), 6);
}

#[tokio::test]
async fn the_record_expires_and_what_others_put_there_is_passed_over() {
    let Some(server) = private().await else {
        return;
    };
    // The server looks through what is large, which may take a busy machine its time.
    let replies = RedisReplies::new(server.url()).response_timeout(AT_MOST);
    let (store, _) = open(&replies).await;
    store.record_flight(&batch(["a", "b", "c"])).await.unwrap();
    let mut redis = raw(&server.url()).await;
    let mut ttl = redis::cmd("PTTL");
    let left: u64 = ttl.arg(KEY).query_async(&mut redis).await.unwrap();
    let most = u64::try_from(FLIGHT_TTL.as_millis()).unwrap();
    assert!((most / 2..=most).contains(&left), "{left}");

    let mut add = redis::cmd("XADD");
    let add = add.arg(KEY).arg("*").arg("other").arg("x");
    let _: String = add.query_async(&mut redis).await.unwrap();
    let mut add = redis::cmd("XADD");
    let add = add
        .arg(KEY)
        .arg("*")
        .arg(b"\xff")
        .arg("x")
        .arg("event")
        .arg(b"\xfe");
    let _: String = add.query_async(&mut redis).await.unwrap();
    assert_eq!(all(&store).await, [&b"a"[..], b"b", b"c", b"\xfe"]);

    // Of these the last is the largest that an event can be.
    for size in [64 << 20, FLIGHT_EVENT_BYTES_MAX + 1, FLIGHT_EVENT_BYTES_MAX] {
        let mut add = redis::cmd("XADD");
        let add = add.arg(KEY).arg("*").arg("event").arg(vec![b'x'; size]);
        let _: String = add.query_async(&mut redis).await.unwrap();
    }
    let read = all(&store).await;
    assert_eq!(read.len(), 5);
    assert_eq!(read[4].len(), FLIGHT_EVENT_BYTES_MAX);

    let mut wipe = redis::cmd("SET");
    let _: () = wipe
        .arg(KEY)
        .arg("no stream")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!(store.record_flight(&batch(["a", "b", "c"])).await.is_err());
    let nowhere = FlightCursor::Since(Duration::ZERO);
    assert!(store.flight_page(&nowhere).await.is_err());
}
