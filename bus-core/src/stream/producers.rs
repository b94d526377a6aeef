//! The streams that one service produces, found by their calls when their readers say something.

use super::{
    Opened,
    heard::{Ear, Heard},
    items::ItemSource,
    producer::{Producer, Way},
    tally::{End, StreamTally},
};
use crate::{
    bus::Bus,
    call_id::CallId,
    context::Context,
    control::ControlLine,
    error::{Fault, FaultCode},
    limits::STREAMS_SERVED_MAX,
    message::{Properties, Text},
    reply::{ReplyStore, ReplyTarget},
    signature::FrameSignatures,
    transport::Transport,
    wire::{headers, stream::Credit},
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The producers of one service.
pub(crate) struct Producers {
    /// The control queue that their readers write to.
    queue: Text,
    store: Arc<dyn ReplyStore>,
    transport: Arc<dyn Transport>,
    tasks: TaskTracker,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// Of the copies of a call each has one.
    of_call: HashMap<CallId, Vec<(u32, Arc<Heard>)>>,
    count: usize,
}

/// A place among the producers, which is free again when this is dropped.
pub(super) struct Place {
    /// Holds the line open over which the reader is heard.
    control: Arc<ControlLine>,
    id: CallId,
    producer: u32,
    pub(super) heard: Arc<Heard>,
}

/// All that it takes to produce the stream of one call.
pub(crate) struct Opening {
    control: Arc<ControlLine>,
    id: CallId,
    inbox: Text,
    window: usize,
    /// Fired when the service has drained.
    stop: CancellationToken,
    signatures: FrameSignatures,
}

impl Producers {
    pub(crate) fn new(bus: &Bus, queue: Text) -> Self {
        let bus = bus.inner();
        Self {
            queue,
            store: Arc::clone(&bus.replies),
            transport: Arc::clone(&bus.transport),
            tasks: bus.tasks.clone(),
            held: Mutex::default(),
        }
    }

    /// Hands a credit to the producer that it is for, if it is here.
    pub(crate) fn credit(&self, credit: Credit) {
        let held = self.held();
        let of_call = held.of_call.get(&credit.id).into_iter().flatten();
        let mut named = of_call.filter(|(producer, _)| *producer == credit.producer);
        let heard = named.next().map(|(_, heard)| Arc::clone(heard));
        drop(held);
        if let Some(heard) = heard {
            heard.hear(credit);
        }
    }

    /// Ends the streams of a call that nobody waits for any more.
    pub(crate) fn cancel(&self, id: CallId) {
        let held = self.held();
        for (_, heard) in held.of_call.get(&id).into_iter().flatten() {
            heard.gone.cancel();
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opening {
    /// What the request of a stream says of it.
    pub(crate) fn read(
        control: &Arc<ControlLine>,
        id: CallId,
        target: &ReplyTarget,
        properties: &Properties,
        stop: &CancellationToken,
        signatures: FrameSignatures,
    ) -> Result<Self, Fault> {
        let bad = |text: &str| Fault::new(FaultCode::BadRequest, text);
        let ReplyTarget::Inbox(inbox) = target else {
            return Err(bad("the answer is a stream, which needs an inbox"));
        };
        let window = properties.header(headers::STREAM).map(str::parse::<u32>);
        let Some(Ok(window)) = window else {
            let text = "the answer is a stream: header x-replybus-stream says how many bytes its producer may be ahead";
            return Err(bad(text));
        };
        let producers = control.producers();
        if !control.is_open() {
            let text = "the service has no control queue, by which it would hear of its reader";
            return Err(Fault::new(FaultCode::Denied, text));
        }
        if producers.held().count >= STREAMS_SERVED_MAX {
            return Err(too_many());
        }
        let window = super::window_of(window);
        Ok(Self {
            control: Arc::clone(control),
            id,
            inbox: inbox.clone(),
            window: usize::try_from(window).unwrap_or(usize::MAX),
            stop: stop.clone(),
            signatures,
        })
    }

    /// Begins to produce, in a task of its own.
    pub(super) fn start(&self, source: Box<dyn ItemSource>) -> Result<Opened, Fault> {
        let producers = self.control.producers();
        let place = self.place()?;
        let opened = Opened {
            queue: producers.queue.to_string(),
            producer: place.producer,
        };
        let context = Context::current().of_stream(place.heard.gone.clone());
        let (service, method) = (context.service(), context.method());
        let tally = StreamTally::begin(service, method, End::Producer);
        let way = Way {
            store: Arc::clone(&producers.store),
            inbox: self.inbox.clone(),
            id: self.id,
            producer: place.producer,
            window: self.window,
            heard: Arc::clone(&place.heard),
            ear: Ear::Control(Arc::clone(&producers.transport)),
            stop: self.stop.clone(),
            signatures: self.signatures.clone(),
        };
        let producer = Producer::new(source, way, "its service stops", tally);
        producers.tasks.spawn(context.scope(async move {
            producer.run().await;
            drop(place);
        }));
        Ok(opened)
    }

    fn place(&self) -> Result<Place, Fault> {
        let heard = Arc::new(Heard::new());
        let producer = super::any_number();
        let mut held = self.control.producers().held();
        if held.count >= STREAMS_SERVED_MAX {
            return Err(too_many());
        }
        held.count += 1;
        let of_call = held.of_call.entry(self.id).or_default();
        of_call.push((producer, Arc::clone(&heard)));
        Ok(Place {
            control: Arc::clone(&self.control),
            id: self.id,
            producer,
            heard,
        })
    }
}

fn too_many() -> Fault {
    let text = format!("{STREAMS_SERVED_MAX} streams are being produced");
    Fault::new(FaultCode::Overloaded, text)
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.control.producers().held();
        held.count = held.count.saturating_sub(1);
        if let Some(of_call) = held.of_call.get_mut(&self.id) {
            of_call.retain(|(producer, _)| *producer != self.producer);
            if of_call.is_empty() {
                held.of_call.remove(&self.id);
            }
        }
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("id", &self.id)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Producers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producers")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
