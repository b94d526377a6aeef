//! Hearing events as they pass, for whoever looks on: no group is made, and nothing is kept.

use crate::{
    bus::{Bus, BusInner},
    call_id::CallId,
    codec::{self, CodecError, ContentType},
    contract::check_name,
    error::SetupError,
    limits::{LISTENER_HELD_MAX, LISTENER_QUEUE_EXPIRES, NAME_BYTES_MAX},
    message::Message,
    transport::{Binding, Deliveries, QueueSpec, Settled, Source},
};
use serde::de::DeserializeOwned;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::broadcast, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

impl Bus {
    /// Hears the events of an exchange whose routing keys are like `pattern` (`*` is one word, `#`
    /// any number), whatever types they have, from when this returns until the listener is dropped.
    /// Groups get theirs all the same.
    ///
    /// A listener is for looking on: who reads too slowly [misses](HeardEvent::missed) events, and
    /// so does one that loses its connection. To handle events, [subscribe](Self::subscribe).
    ///
    /// ```
    /// use replybus::{Bus, event::EVENTS_EXCHANGE};
    /// use serde::Deserialize;
    /// use std::collections::BTreeMap;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bus = Bus::in_memory();
    /// let mut listener = bus.listen(EVENTS_EXCHANGE, "transfer.*").await?;
    ///
    /// let transfer = BTreeMap::from([("amount", 1_200)]);
    /// bus.emit_named(EVENTS_EXCHANGE, "transfer.completed", &transfer).await?;
    ///
    /// #[derive(Deserialize)]
    /// struct Transfer { amount: u64 } // or a serde_json::Value, which has all
    ///
    /// let event = listener.next().await.ok_or("closed")?;
    /// let Transfer { amount } = event.body()?;
    /// assert_eq!((event.name(), amount), ("transfer.completed", 1_200));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// No exchange, or no pattern, is spelt like that, or the broker can't be reached or refuses.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, a queue may be left, which is removed when nobody has used it for
    /// [`LISTENER_QUEUE_EXPIRES`].
    pub async fn listen(&self, exchange: &str, pattern: &str) -> Result<Listener, SetupError> {
        check_name("exchange", exchange)?;
        check_pattern(pattern)?;
        let inner = self.inner();
        let queue = self.name(&format!("replybus.listener.{}", CallId::new()));
        let binding = Binding::new(self.name(exchange), pattern);
        let spec = QueueSpec::new(&queue).expires(LISTENER_QUEUE_EXPIRES);
        let source = Source::new(spec, PREFETCH).bind(binding.clone());
        let deliveries = inner.transport.consume(source).await?;
        let (tell, heard) = broadcast::channel(LISTENER_HELD_MAX);
        let stop = CancellationToken::new();
        let ear = Ear {
            bus: Arc::clone(&inner),
            queue,
            binding,
            tell,
            stop: stop.clone(),
        };
        Ok(Listener {
            heard,
            missed: 0,
            stop: stop.drop_guard(),
            hearing: inner.tasks.spawn(ear.hear(deliveries)),
        })
    }
}

/// Deliveries on their way: they are settled as soon as they come.
const PREFETCH: u16 = 64;

fn check_pattern(pattern: &str) -> Result<(), SetupError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_*#".contains(&byte);
    let is_one = (1..=NAME_BYTES_MAX).contains(&pattern.len()) && pattern.bytes().all(allowed);
    if is_one {
        return Ok(());
    }
    let reason =
        format!("1 to {NAME_BYTES_MAX} letters, digits, '.', '-', '_', and '*' or '#' for words");
    Err(SetupError::setting("pattern", reason))
}

/// Hears events; see [`Bus::listen`].
#[must_use = "a listener that is dropped hears nothing"]
pub struct Listener {
    heard: broadcast::Receiver<Arc<Message>>,
    missed: u64,
    stop: DropGuard,
    hearing: JoinHandle<()>,
}

impl Listener {
    /// The next event; `None` once the bus is closed.
    ///
    /// # Cancel safety
    /// Safe: dropped before it is ready, it has taken no event.
    pub async fn next(&mut self) -> Option<HeardEvent> {
        loop {
            match self.heard.recv().await {
                Ok(message) => {
                    let missed = self.missed;
                    return Some(HeardEvent { message, missed });
                }
                Err(broadcast::error::RecvError::Lagged(events)) => {
                    self.missed = self.missed.saturating_add(events);
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// Ends it, and waits until its queue is removed. Dropped, that happens by itself.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the queue is removed all the same.
    pub async fn end(self) {
        drop(self.stop);
        // It does not panic; if the runtime ends it, the queue expires.
        let _ = self.hearing.await;
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}

/// An event as it was heard, read without trust.
#[derive(Clone)]
#[non_exhaustive]
pub struct HeardEvent {
    message: Arc<Message>,
    /// The events that its listener was too slow for, up to this one.
    pub missed: u64,
}

impl HeardEvent {
    /// Its routing key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.message.routing_key
    }

    /// Its id, if it has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.message.properties.message_id.as_deref()
    }

    /// How its emitter named itself.
    #[must_use]
    pub fn emitter(&self) -> Option<&str> {
        self.message.properties.app_id.as_deref()
    }

    /// When it was emitted, by the clock of its emitter, to the second.
    #[must_use]
    pub fn emitted_at(&self) -> Option<SystemTime> {
        let since = Duration::from_secs(self.message.properties.timestamp?);
        UNIX_EPOCH.checked_add(since)
    }

    /// The event: any type that has the fields that matter, such as a `serde_json::Value`, which has
    /// all.
    ///
    /// # Errors
    /// Its encoding is not known, or it does not hold what is asked for.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        let named = self.message.properties.content_type.as_deref();
        codec::decode(ContentType::from_wire(named)?, &self.message.body)
    }

    /// The whole of it: properties, headers and body.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }
}

// Without values: bodies and headers can hold a secret.
impl fmt::Debug for HeardEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeardEvent")
            .field("name", &self.name())
            .field("id", &self.id())
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}

/// What takes the events off the broker as they come, so that a slow reader fills nothing there.
struct Ear {
    bus: Arc<BusInner>,
    queue: String,
    binding: Binding,
    tell: broadcast::Sender<Arc<Message>>,
    stop: CancellationToken,
}

impl Ear {
    async fn hear(self, mut deliveries: Box<dyn Deliveries>) {
        let stopping = self.bus.stopping.clone();
        loop {
            let delivery = tokio::select! {
                // What comes one after the other does not keep it from ending.
                biased;
                () = self.stop.cancelled() => None,
                () = stopping.cancelled() => None,
                delivery = deliveries.next() => delivery,
            };
            let Some(delivery) = delivery else { break };
            delivery.settler.settle(Settled::Ack);
            if delivery.malformed.is_none() {
                // Its reader may have gone at this moment.
                let _ = self.tell.send(Arc::new(delivery.message));
            }
        }
        deliveries.stop().await;
        let bindings = std::slice::from_ref(&self.binding);
        // What can't be removed now expires.
        let removed = self.bus.transport.remove(&self.queue, bindings, true).await;
        if let Err(error) = removed {
            tracing::debug!(queue = self.queue, %error, "a listener's queue is left to expire");
        }
    }
}
