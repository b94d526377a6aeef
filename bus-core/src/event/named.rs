//! Events by their names, of no type: for gateways and tools.

use super::Emit;
use crate::{bus::Bus, contract::check_name};
use serde::Serialize;

/// The topic exchange of events that name no other.
pub const EVENTS_EXCHANGE: &str = "replybus.events";

impl Bus {
    /// Emits an event by its names: for programs that learn of events at run time. What is emitted
    /// so is like any other, and subscribers can't tell it apart.
    ///
    /// ```
    /// use replybus::{Bus, event::EVENTS_EXCHANGE};
    /// use std::collections::BTreeMap;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let _listener = bus.listen(EVENTS_EXCHANGE, "#").await?;
    /// let transfer = BTreeMap::from([("amount", 1_200)]); // or a serde_json::Value
    /// let id = bus.emit_named(EVENTS_EXCHANGE, "transfer.completed", &transfer).await?;
    /// println!("emitted as {id}");
    /// assert!(bus.emit_named(EVENTS_EXCHANGE, "transfer.*", &transfer).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn emit_named<E: Serialize + ?Sized>(
        &self,
        exchange: &str,
        routing_key: &str,
        event: &E,
    ) -> Emit {
        let emit = Emit::of(self, exchange.into(), routing_key.into(), event);
        named(emit, exchange, routing_key)
    }

    /// Emits an event by its names, of which there is a text in JSON, such as one that was stored. It
    /// travels as it is, in JSON: read without its type and written again it would not always be the
    /// same, since keys that are numbers become text, and integers of more than 64 bits floats.
    ///
    /// Awaited, it fails with [`EmitError::Codec`](super::EmitError::Codec) if the text is no JSON, is
    /// nested too deep, or is larger than [`REQUEST_BYTES_MAX`](crate::limits::REQUEST_BYTES_MAX).
    ///
    /// ```
    /// use replybus::{Bus, event::EVENTS_EXCHANGE};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let _listener = bus.listen(EVENTS_EXCHANGE, "#").await?;
    /// let stored = r#"{"amount":1200}"#;
    /// bus.emit_json(EVENTS_EXCHANGE, "transfer.completed", stored).await?;
    /// assert!(bus.emit_json(EVENTS_EXCHANGE, "transfer.completed", "{").await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn emit_json(&self, exchange: &str, routing_key: &str, text: &str) -> Emit {
        let emit = Emit::of_json(self, exchange.into(), routing_key.into(), text);
        named(emit, exchange, routing_key)
    }
}

/// An event, unless none can have these names.
fn named(emit: Emit, exchange: &str, routing_key: &str) -> Emit {
    let named = check_name("exchange", exchange).and_then(|()| check_name("event", routing_key));
    match named {
        Ok(()) => emit,
        Err(error) => emit.misnamed(error),
    }
}
