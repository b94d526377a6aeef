//! Records in the reply store, which whoever may write there can have put: of instances, of what waits
//! until it is due, and of what happened to calls. One that is no such record, or can't be shown to
//! people, is passed over, and spoils none of those beside it.

use crate::world::to_its_end;
use async_trait::async_trait;
use bytes::Bytes;
use replybus::{
    Bus, CallId, SetupError,
    flight::Flight,
    limits::{FLIGHT_DEPTH_MAX, INSTANCE_METHODS_MAX, INSTANCE_TEXT_MAX, INSTANCES_LISTED_MAX},
    presence::{Instance, InstanceId},
    reply::{
        Arrivals, DelayedNote, FlightBatch, Presence, ReplyBackend, ReplyStore,
        memory::MemoryReplies,
    },
    transport::memory::MemoryBroker,
};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const QUEUE: &str = "fuzz.requests";
/// Of the good record, and of a version of UUIDs that says nothing of time.
const ID: [u8; 16] = [0x41; 16];

/// A store that others write to as well.
#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Arc<Mutex<Option<Arc<dyn ReplyStore>>>>);

#[async_trait]
impl ReplyBackend for Shared {
    async fn open(
        self: Box<Self>,
        namespace: &str,
        arrivals: Arc<dyn Arrivals>,
    ) -> Result<Arc<dyn ReplyStore>, SetupError> {
        let store = Box::new(MemoryReplies::new());
        let store = store.open(namespace, arrivals).await?;
        *self.0.lock().unwrap() = Some(Arc::clone(&store));
        Ok(store)
    }
}

impl Shared {
    pub(crate) fn store(&self) -> Arc<dyn ReplyStore> {
        let store = self.0.lock().unwrap().clone();
        store.expect("a bus is connected")
    }
}

pub(crate) fn run(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else {
        return;
    };
    // Several records, a line each, as many as are listed with a good one.
    let records = data.split(|byte| *byte == b'\n');
    let records = records.take(INSTANCES_LISTED_MAX - 1);
    let records: Vec<_> = records.map(Bytes::copy_from_slice).collect();
    to_its_end(async move {
        let shared = Shared::default();
        let bus = Bus::connect(MemoryBroker::new(), shared.clone()).await;
        let (bus, store) = (bus.expect("it is in this process"), shared.store());
        match kind % 3 {
            0 => instances(&bus, &*store, records).await,
            1 => delayed(&bus, &*store, records).await,
            _ => flights(&bus, &*store, records).await,
        }
    });
}

fn id(number: usize) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    id
}

pub(crate) fn is_shown(text: &str) {
    assert!(
        text.len() <= INSTANCE_TEXT_MAX && !text.contains(char::is_control),
        "{text:?}"
    );
}

async fn instances(bus: &Bus, store: &dyn ReplyStore, records: Vec<Bytes>) {
    let good = format!(
        r#"{{"id":"{}","service":"Echo","program":"fuzz","host":"","process":1,"methods":{{}},"started_at":7,"in_flight":0}}"#,
        InstanceId::from_bytes(ID)
    );
    let count = records.len();
    let records = records.into_iter().enumerate();
    let records = records.map(|(number, record)| (id(number), record));
    for (id, record) in records.chain([(ID, Bytes::from(good))]) {
        let presence = Presence::new(QUEUE, InstanceId::from_bytes(id), record);
        store.announce(&presence).await.unwrap();
    }
    let read = bus.instances(QUEUE).await.unwrap();
    assert!(
        read.iter()
            .any(|instance| instance.id == InstanceId::from_bytes(ID))
    );
    assert!(read.len() <= count + 1);
    for instance in &read {
        let Instance {
            service,
            program,
            host,
            version,
            methods,
            ..
        } = instance;
        [service, program, host]
            .into_iter()
            .chain(version)
            .for_each(|text| is_shown(text));
        assert!(methods.len() <= INSTANCE_METHODS_MAX);
        methods
            .iter()
            .flat_map(|(name, print)| [name, print])
            .for_each(|text| is_shown(text));
    }
    let services = bus.services().await.unwrap();
    assert_eq!(services.len(), 1);
    assert_eq!(services[0].instances, read);
}

async fn delayed(bus: &Bus, store: &dyn ReplyStore, records: Vec<Bytes>) {
    let good = format!(
        r#"{{"id":"{}","kind":"call","name":"say","due_ms":7}}"#,
        CallId::from_bytes(ID)
    );
    let due = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(60);
    let count = records.len();
    let records = records.into_iter().enumerate();
    let records = records.map(|(number, record)| (id(number), record));
    for (id, record) in records.chain([(ID, Bytes::from(good))]) {
        let note = DelayedNote::new(QUEUE, CallId::from_bytes(id), due, record);
        store.note_delayed(&note).await.unwrap();
    }
    let read = bus.delayed(QUEUE).await.unwrap();
    assert!(
        read.iter()
            .any(|message| message.id == CallId::from_bytes(ID))
    );
    assert!(read.len() <= count + 1);
    assert!(read.is_sorted_by_key(|message| message.due_at));
    for message in &read {
        assert_eq!(message.place, QUEUE);
        [&message.service, &message.name, &message.program]
            .into_iter()
            .for_each(|text| is_shown(text));
        let ticket = message.ticket::<Result<String, String>>(message.keyed.then_some("key"));
        if let Some(ticket) = ticket {
            assert_eq!(ticket.call_id(), message.id);
            let status = ticket.status(bus).await;
            assert!(status.is_ok(), "{status:?}");
        }
    }
}

async fn flights(bus: &Bus, store: &dyn ReplyStore, records: Vec<Bytes>) {
    let call = CallId::from_bytes(ID);
    let good = format!(
        r#"{{"call":"{call}","at_us":7,"step":"abandoned","instance":"{call}","program":"","host":""}}"#
    );
    let count = records.len() + 1;
    let events = records.into_iter().chain([Bytes::from(good)]).collect();
    store
        .record_flight(&FlightBatch::new(events, 1_000))
        .await
        .unwrap();
    let flight = bus.flight(call).await.unwrap().expect("it is recorded");
    assert!(bounded(&flight, 0) <= count);
    let _ = bus.flights_of_trace(u128::from_be_bytes(ID)).await.unwrap();
    for flight in bus.slowest_flights(None, Duration::MAX, 3).await.unwrap() {
        assert!(bounded(&flight, 0) <= count);
        let _ = (flight.took(), flight.outcome(), flight.times());
    }
}

/// The events in it, and in what is within it.
fn bounded(flight: &Flight, depth: usize) -> usize {
    assert!(depth <= FLIGHT_DEPTH_MAX);
    for event in &flight.events {
        is_shown(&event.program);
        is_shown(&event.host);
    }
    [&flight.service, &flight.method, &flight.queue]
        .into_iter()
        .for_each(|text| is_shown(text));
    let nested = flight
        .nested
        .iter()
        .map(|within| bounded(within, depth + 1));
    flight.events.len() + nested.sum::<usize>()
}
