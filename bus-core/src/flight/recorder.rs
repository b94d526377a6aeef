//! What is recorded, on its way into the store: nobody waits for it, and what does not fit is dropped
//! and counted.

use super::{FlightEvent, FlightRecord, FlightStep};
use crate::{
    call_id::CallId,
    contract::wall_clock,
    limits::{
        FLIGHT_BATCH_EVENTS_MAX, FLIGHT_BATCH_EVERY, FLIGHT_EVENTS_WAITING_MAX,
        FLIGHT_WRITTEN_WITHIN,
    },
    message::Text,
    presence::{InstanceId, host},
    reply::{FlightBatch, ReplyStore},
};
use metrics::Counter;
use std::{fmt, sync::Arc};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The place where events are recorded; off, and then nothing, unless it was asked for. Cheap to
/// clone.
#[derive(Clone, Default)]
pub(crate) struct Flights(Option<Arc<Recorder>>);

/// One who records: a bus as a caller, or an instance of a service.
#[derive(Clone)]
struct Recorder {
    instance: InstanceId,
    program: Text,
    host: Text,
    line: mpsc::Sender<FlightEvent>,
    dropped: Counter,
}

/// What takes events to the store.
struct Writer {
    store: Arc<dyn ReplyStore>,
    events: mpsc::Receiver<FlightEvent>,
    keep: usize,
    dropped: Counter,
    /// The store took the last ones.
    works: bool,
}

impl Flights {
    /// Records nothing.
    pub(crate) const OFF: &'static Self = &Self(None);

    /// Records into `store` until `closed`, in a task of `tasks`.
    pub(crate) fn start(
        record: &FlightRecord,
        store: Arc<dyn ReplyStore>,
        program: Text,
        tasks: &TaskTracker,
        closed: CancellationToken,
    ) -> Self {
        let (line, events) = mpsc::channel(FLIGHT_EVENTS_WAITING_MAX);
        let dropped = metrics::counter!("replybus_flight_events_dropped_total");
        dropped.increment(0);
        let writer = Writer {
            store,
            events,
            keep: record.kept(),
            dropped: dropped.clone(),
            works: true,
        };
        tasks.spawn(writer.run(closed));
        Self(Some(Arc::new(Recorder {
            instance: InstanceId::new(),
            program,
            host: host().into(),
            line,
            dropped,
        })))
    }

    /// The same in the name of an instance of a service.
    pub(crate) fn of_instance(&self, instance: InstanceId) -> Self {
        let recorder = self.0.as_deref();
        Self(recorder.map(|recorder| {
            Arc::new(Recorder {
                instance,
                ..recorder.clone()
            })
        }))
    }

    /// `true` if anything is recorded.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Records what happened to a call just now.
    #[inline]
    pub(crate) fn note(&self, call: CallId, step: impl FnOnce() -> FlightStep) {
        if let Some(recorder) = &self.0 {
            recorder.note(call, step());
        }
    }
}

impl Recorder {
    #[cold]
    fn note(&self, call: CallId, step: FlightStep) {
        let event = FlightEvent {
            call,
            at: wall_clock(),
            step,
            instance: self.instance,
            program: self.program.clone(),
            host: self.host.clone(),
        };
        if self.line.try_send(event).is_err() {
            self.dropped.increment(1);
        }
    }
}

impl Writer {
    /// Writes until the bus is closed and all is written, or it is gone.
    async fn run(mut self, closed: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            let taken = tokio::select! {
                biased;
                taken = self.events.recv_many(&mut batch, FLIGHT_BATCH_EVENTS_MAX) => taken,
                () = closed.cancelled(), if !self.events.is_closed() => {
                    self.events.close();
                    continue;
                }
            };
            if taken == 0 {
                return;
            }
            self.write(&mut batch).await;
            if self.events.len() < FLIGHT_BATCH_EVENTS_MAX {
                // One write for many is what keeps this cheap for the store.
                tokio::select! {
                    biased;
                    () = sleep(FLIGHT_BATCH_EVERY) => {}
                    () = closed.cancelled() => {}
                }
            }
        }
    }

    async fn write(&mut self, batch: &mut Vec<FlightEvent>) {
        let noted = batch.len();
        let events: Vec<_> = batch.drain(..).filter_map(|e| e.encode().ok()).collect();
        let written = events.len();
        self.drop_of(noted - written);
        let batch = FlightBatch::new(events, self.keep);
        let failure = match timeout(FLIGHT_WRITTEN_WITHIN, self.store.record_flight(&batch)).await {
            Ok(Ok(())) => {
                self.works = true;
                return;
            }
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        self.drop_of(written);
        if std::mem::replace(&mut self.works, false) {
            let within = FLIGHT_WRITTEN_WITHIN;
            match failure {
                Some(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "events of the flight record are dropped");
                }
                None => tracing::warn!(
                    ?within,
                    "events of the flight record are dropped: the store does not answer"
                ),
            }
        }
    }

    fn drop_of(&self, events: usize) {
        self.dropped
            .increment(u64::try_from(events).unwrap_or(u64::MAX));
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flights").field(&self.is_on()).finish()
    }
}
