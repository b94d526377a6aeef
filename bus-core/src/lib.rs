//! Calls that travel over a RabbitMQ queue and are answered via Redis.
//!
//! One annotated trait is the contract; it gives a consumer loop and a typed client.

#![cfg_attr(docsrs, feature(doc_cfg))]

// In the order a call travels.
pub mod client;
pub mod codec;
pub mod context;
pub mod contract;
pub mod event;
pub mod message;
pub mod reply;
pub mod server;
pub mod transport;
pub mod wire;

pub mod error;
pub mod limits;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod bus;
mod call_id;

pub use bus::{Bus, BusBuilder, Health};
pub use call_id::{CallId, InvalidCallId};
pub use client::{Call, Never, Ticket};
pub use codec::ContentType;
pub use context::{Context, Metadata};
pub use error::{CallError, CallFailure, FailureKind, SetupError};
pub use event::Event;
#[cfg(feature = "amqp")]
pub use transport::amqp::Amqp;
