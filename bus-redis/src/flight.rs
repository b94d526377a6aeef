//! The flight record: one stream for each namespace, an entry for each event. Its one key is in one
//! slot of a cluster, whatever else is there.

use crate::{connection::Link, error::Failure, inbox::millis, keys::Keys};
use bytes::Bytes;
use deadpool_redis::redis;
use replybus::{
    limits::FLIGHT_PAGE_EVENTS_MAX,
    reply::{FlightBatch, FlightCursor, FlightPage},
};

/// What a user of the server needs; the first two are part of what all else does.
const NEEDED: &str = "+xadd +pexpire +xrange";

/// The field of an entry.
const EVENT: &str = "event";

/// One entry: its id, and its fields with their values, in whatever bytes.
type Entry = (String, Vec<(Vec<u8>, Vec<u8>)>);

/// Adds events, behind all that is there.
pub(crate) async fn record(
    link: &mut Link,
    keys: &Keys,
    batch: &FlightBatch,
) -> Result<(), Failure> {
    let Some((last, others)) = batch.events.split_last() else {
        return Ok(());
    };
    let key = keys.flight();
    let mut all = redis::pipe();
    for event in others {
        let add = all.cmd("XADD").arg(&key).arg("*");
        add.arg(EVENT).arg(&**event).ignore();
    }
    // Once for all of them.
    let add = all.cmd("XADD").arg(&key);
    let add = add.arg("MAXLEN").arg("~").arg(batch.keep).arg("*");
    add.arg(EVENT).arg(&**last).ignore();
    all.cmd("PEXPIRE").arg(&key).arg(millis(batch.ttl)).ignore();
    let added: Result<(), _> = all.query_async(link).await;
    added.map_err(|error| needing(keys, error))
}

/// The events from a place on.
pub(crate) async fn page(
    link: &mut Link,
    keys: &Keys,
    from: &FlightCursor,
) -> Result<FlightPage, Failure> {
    let from = match from {
        FlightCursor::Since(moment) => millis(*moment).to_string(),
        FlightCursor::After(id) => format!("({id}"),
        _ => return Err(Failure::Unexpected),
    };
    let mut read = redis::cmd("XRANGE");
    read.arg(keys.flight()).arg(from).arg("+");
    read.arg("COUNT").arg(FLIGHT_PAGE_EVENTS_MAX);
    let entries: Result<Vec<Entry>, _> = read.query_async(link).await;
    let entries = entries.map_err(|error| needing(keys, error))?;
    let last = entries
        .last()
        .filter(|_| entries.len() == FLIGHT_PAGE_EVENTS_MAX);
    let next = last.map(|(id, _)| FlightCursor::After(id.clone()));
    // What has no such field was written by somebody else.
    let events = entries.into_iter().filter_map(|(_, fields)| {
        let mut fields = fields.into_iter();
        let (_, event) = fields.find(|(name, _)| name == EVENT.as_bytes())?;
        Some(Bytes::from(event))
    });
    Ok(FlightPage::new(events.collect(), next))
}

fn needing(keys: &Keys, error: impl Into<Failure>) -> Failure {
    let failure: Failure = error.into();
    failure.needing(&format!("~{}", keys.all_in_scope()), NEEDED)
}
