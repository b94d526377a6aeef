//! What became of a call: the flight record.
//!
//! Off unless it is asked for ([`BusBuilder::flight_record`](crate::BusBuilder::flight_record)), it is
//! one stream of small events in the reply store, written by all programs of a namespace that have it
//! switched on: a call is published, taken, claimed, its handler begins and ends, its reply is stored
//! and seen. [`Bus::flight`] puts those of one call in order, with the calls that its handler made, in
//! whichever service; [`Bus::slowest_flights`] finds a call to look at.
//!
//! An event says what happened, when and where, and nothing of what the call was about: no arguments,
//! no answer, no metadata, no idempotency key. It is written beside the call, many at once. When the
//! store is away or slow, events are dropped and counted (`replybus_flight_events_dropped_total`), and
//! calls go on. So a record can have gaps: it is there to explain, and proves nothing.
//!
//! Moments are those of the machines where things happened, and clocks of machines differ, in a data
//! centre by a millisecond or so. Within one program the order is right; between two, a moment can
//! seem to come before its cause.
//!
//! Events that are emitted and subscribed to, and answers that are kept for others, are not recorded;
//! calls that their handlers make are.

mod event;
mod handled;
mod recorder;
mod settings;
mod timeline;

pub use event::{FlightEvent, FlightStep};
pub use settings::FlightRecord;
pub use timeline::{Flight, FlightTimes};

pub(crate) use recorder::Flights;

use crate::{
    bus::Bus,
    call_id::CallId,
    contract::unix_time,
    limits::{FLIGHT_CLOCK_ALLOWANCE, FLIGHT_EVENTS_KEPT_MAX, FLIGHT_PAGE_EVENTS_MAX},
    reply::{FlightCursor, StoreError},
};
use std::time::Duration;
use timeline::Recorded;

/// As many as there can be of one record, but for what a store leaves in it beyond that.
const PAGES_MAX: usize = FLIGHT_EVENTS_KEPT_MAX / FLIGHT_PAGE_EVENTS_MAX;

impl Bus {
    /// What is recorded of a call, with the calls that its handler made; `None` if nothing is,
    /// because no program that it came to records, or because it is too long ago.
    ///
    /// The bus that is asked need not record. What happened in the last
    /// [`FLIGHT_BATCH_EVERY`](crate::limits::FLIGHT_BATCH_EVERY) may be missing.
    ///
    /// ```
    /// use replybus::{
    ///     Bus, CallId, Context, Never, flight::FlightRecord, queue_handler,
    ///     reply::memory::MemoryReplies, transport::memory::MemoryBroker,
    /// };
    ///
    /// #[queue_handler("greeter.requests")]
    /// pub trait Greeter {
    ///     #[query]
    ///     async fn greet(&self, name: String) -> Result<String, Never>;
    ///     async fn remember(&self, name: String) -> Result<CallId, Never>;
    /// }
    /// # struct English;
    /// # impl Greeter for English {
    /// #     async fn greet(&self, name: String) -> Result<String, Never> { Ok(name) }
    /// #     async fn remember(&self, _: String) -> Result<CallId, Never> {
    /// #         Ok(Context::current().call_id().unwrap())
    /// #     }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = Bus::builder().flight_record(FlightRecord::new());
    /// let bus = builder.connect(MemoryBroker::new(), MemoryReplies::new()).await?;
    /// # let serving = bus.serve(GreeterServer::new(English)).await?;
    /// let id = GreeterClient::new(&bus).remember("Ada".to_owned()).send().await?;
    ///
    /// # while bus.flight(id).await?.is_none_or(|flight| flight.events.len() < 7) {
    /// #     tokio::task::yield_now().await;
    /// # }
    /// let flight = bus.flight(id).await?.ok_or("not recorded")?;
    /// println!("{}.{} took {:?}", flight.service, flight.method, flight.took());
    /// for event in &flight.events {
    ///     println!("{:?}: {:?} by {} on {}", event.at, event.step, event.program, event.host);
    /// }
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The store can't be reached, or keeps no flight record.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn flight(&self, call: CallId) -> Result<Option<Flight>, StoreError> {
        let begun = call.made_at().unwrap_or_default();
        Ok(self.recorded_since(begun).await?.flight(call))
    }

    /// What is recorded of the calls of one trace, each with those within it, the earliest first: all
    /// that was called for one request to a program that begins or continues a trace for it
    /// ([`Context`](crate::Context)), or for a span of its caller.
    ///
    /// # Errors
    /// The store can't be reached, or keeps no flight record.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn flights_of_trace(&self, trace_id: u128) -> Result<Vec<Flight>, StoreError> {
        // Whoever names traces need not name them after a moment.
        let recorded = self.recorded_since(Duration::ZERO).await?;
        Ok(recorded.flights_of_trace(trace_id))
    }

    /// The calls of the last so long that took their callers longest, of one queue or all, the longest
    /// first; up to `count`, and without the calls within them. One that has no end counts with the
    /// time since it was made: it is under way, or its end was not recorded.
    ///
    /// # Errors
    /// The store can't be reached, or keeps no flight record.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn slowest_flights(
        &self,
        queue: Option<&str>,
        within: Duration,
        count: usize,
    ) -> Result<Vec<Flight>, StoreError> {
        let since = unix_time().saturating_sub(within);
        let recorded = self.recorded_since(since).await?;
        Ok(recorded.slowest(queue, since, count))
    }

    /// The events that were recorded since then, and shortly before.
    async fn recorded_since(&self, since: Duration) -> Result<Recorded, StoreError> {
        let store = &self.inner().replies;
        let mut recorded = Recorded::default();
        let since = since.saturating_sub(FLIGHT_CLOCK_ALLOWANCE);
        let mut next = Some(FlightCursor::Since(since));
        // Others may add faster than this reads, and what they add need be no events.
        for _ in 0..=PAGES_MAX {
            let Some(from) = next else { break };
            let page = store.flight_page(&from).await?;
            let read = page.events.iter();
            recorded.add(read.filter_map(|event| FlightEvent::decode(event)));
            next = page.next;
        }
        Ok(recorded)
    }
}
