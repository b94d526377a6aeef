//! The flight record.

use super::bench::{Bench, LONG};
use replybus::{
    Bytes,
    limits::FLIGHT_PAGE_EVENTS_MAX,
    reply::{FlightBatch, FlightCursor, ReplyStore},
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const BEGINNING: FlightCursor = FlightCursor::Since(Duration::ZERO);

fn batch(events: impl IntoIterator<Item = String>, keep: usize) -> FlightBatch {
    FlightBatch::new(events.into_iter().map(Bytes::from).collect(), keep)
}

fn numbered(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| number.to_string())
}

/// All events from a place on, page by page.
async fn read(store: &dyn ReplyStore, from: FlightCursor) -> Vec<Bytes> {
    let mut read = Vec::new();
    let mut next = Some(from);
    while let Some(from) = next {
        let page = store.flight_page(&from).await.unwrap();
        assert!(page.events.len() <= FLIGHT_PAGE_EVENTS_MAX);
        read.extend(page.events);
        next = page.next;
    }
    read
}

pub(crate) async fn events_are_read_in_the_order_in_which_they_came(bench: Bench) {
    let (writer, reader) = (bench.open().await, bench.open().await);
    let theirs = bench.open_namespace(&bench.namespace("other")).await;
    assert!(read(reader.store.as_ref(), BEGINNING).await.is_empty());
    let count = 2 * FLIGHT_PAGE_EVENTS_MAX + 1;
    writer.store.record_flight(&batch([], 10)).await.unwrap();
    for part in numbered(count).collect::<Vec<_>>().chunks(256) {
        let part = batch(part.iter().cloned(), 10 * count);
        writer.store.record_flight(&part).await.unwrap();
    }
    let expected: Vec<Bytes> = numbered(count).map(Bytes::from).collect();
    assert_eq!(read(reader.store.as_ref(), BEGINNING).await, expected);
    assert!(read(theirs.store.as_ref(), BEGINNING).await.is_empty());

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let lately = FlightCursor::Since(now.saturating_sub(2 * LONG));
    assert_eq!(read(reader.store.as_ref(), lately).await, expected);
    let later = FlightCursor::Since(now + 2 * LONG);
    assert!(read(reader.store.as_ref(), later).await.is_empty());
}

pub(crate) async fn of_more_events_than_are_kept_the_latest_are(bench: Bench) {
    let end = bench.open().await;
    // Redis drops whole nodes of a hundred entries.
    let (keep, count) = (200, 1000);
    for event in numbered(count) {
        let one = batch([event], keep);
        end.store.record_flight(&one).await.unwrap();
    }
    let kept = read(end.store.as_ref(), BEGINNING).await;
    assert!((keep..keep + 200).contains(&kept.len()), "{}", kept.len());
    let latest: Vec<Bytes> = numbered(count)
        .skip(count - kept.len())
        .map(Bytes::from)
        .collect();
    assert_eq!(kept, latest);
}
