//! The flight record: one stream for each namespace, an entry for each event. Its one key is in one
//! slot of a cluster, whatever else is there.

use crate::{connection::Link, error::Failure, inbox::millis, keys::Keys};
use bytes::Bytes;
use deadpool_redis::redis::{self, Script};
use replybus::{
    limits::{FLIGHT_EVENT_BYTES_MAX, FLIGHT_PAGE_EVENTS_MAX},
    reply::{FlightBatch, FlightCursor, FlightPage},
};

/// What a user of the server needs; all but the last are part of what all else does.
const NEEDED: &str = "+xadd +pexpire +evalsha +script|load +xrange";

/// The field of an entry.
const EVENT: &str = "event";

/// The script that reads, hashed once.
pub(crate) struct Flights {
    page: Script,
}

/// How many entries there are from a place on, the id of the last, and the events in them.
type Page = (usize, String, Vec<Vec<u8>>);

impl Flights {
    pub(crate) fn new() -> Self {
        Self {
            page: Script::new(include_str!("scripts/flights.lua")),
        }
    }

    /// The events from a place on. Anybody who may write to the stream can have put anything there:
    /// what is larger than an event stays on the server.
    pub(crate) async fn page(
        &self,
        link: &mut Link,
        keys: &Keys,
        from: &FlightCursor,
    ) -> Result<FlightPage, Failure> {
        let from = match from {
            FlightCursor::Since(moment) => millis(*moment).to_string(),
            FlightCursor::After(id) => format!("({id}"),
            _ => return Err(Failure::Unexpected),
        };
        let key = keys.flight();
        let mut asked = self.page.key(&key);
        asked.arg(from).arg(FLIGHT_PAGE_EVENTS_MAX);
        asked.arg(FLIGHT_EVENT_BYTES_MAX);
        let page: Result<Page, _> = asked.invoke_async(link).await;
        let (entries, last, events) = page.map_err(|error| needing(keys, error).naming(&[&key]))?;
        let next = (entries == FLIGHT_PAGE_EVENTS_MAX).then_some(FlightCursor::After(last));
        let events = events.into_iter().map(Bytes::from);
        Ok(FlightPage::new(events.collect(), next))
    }
}

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

fn needing(keys: &Keys, error: impl Into<Failure>) -> Failure {
    let failure: Failure = error.into();
    failure.needing(&format!("~{}", keys.all_in_scope()), NEEDED)
}
