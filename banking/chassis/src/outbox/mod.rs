//! Events of a service on their way to the broker: written in the transaction of what they tell of,
//! emitted at least once, each under the id of its transaction, and signed by the service.
//!
//! In reading order: an [`Outbox`] is the table, into which a service puts events and from which
//! they are leased; a [`Relay`] brings them to the broker.

mod relay;
mod table;

pub use relay::Relay;
pub use table::{Given, Outbox, Told};
