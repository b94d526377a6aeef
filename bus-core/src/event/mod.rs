//! Facts that others may want to know: emitted to a topic exchange, delivered once to each group
//! that subscribed.

mod delivery;
mod emit;
mod handler;
mod later;
mod listen;
mod named;
mod remove;
mod subscribe;

pub use crate::work::{Drained, Serving, ServingError};
pub use emit::{Emit, EmitError};
pub use handler::{EventOutcome, SubscribeHandler};
pub use listen::{HeardEvent, Listener};
pub use named::EVENTS_EXCHANGE;
pub use remove::{RemoveGroup, RemoveGroupError};
pub use subscribe::Subscribe;

use serde::{Serialize, de::DeserializeOwned};

/// A type that travels as an event. `#[derive(Event)]` implements it.
///
/// ```
/// use replybus::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event("transfer.completed", exchange = "bank.events")]
/// struct TransferCompleted { amount: u64 }
///
/// assert_eq!(TransferCompleted::ROUTING_KEY, "transfer.completed");
/// assert_eq!(TransferCompleted::EXCHANGE, "bank.events");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    note = "derive it: `#[derive(Event, Serialize, Deserialize)] #[event(\"something.happened\")]`"
)]
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The event's name, as dotted words.
    const ROUTING_KEY: &'static str;
    /// The durable topic exchange it goes to.
    const EXCHANGE: &'static str;
}
