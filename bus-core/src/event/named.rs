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
        let named =
            check_name("exchange", exchange).and_then(|()| check_name("event", routing_key));
        match named {
            Ok(()) => emit,
            Err(error) => emit.misnamed(error),
        }
    }
}
