//! The serving side, in the order a delivery travels: the loop that takes it, the envelope it is
//! read from, the layers it passes, the handler, and what becomes of it.

pub(crate) mod command;
pub(crate) mod dead_letter;
mod delivery;
pub(crate) mod envelope;
mod intake;
mod pipeline;
mod request;
mod room;
mod serve;
pub(crate) mod service;
pub(crate) mod settlement;

pub use intake::{Drained, Serving, ServingError};
pub use pipeline::{ServerLayer, ServerService};
pub use request::Request;
pub use serve::Serve;
pub use service::{Answer, AnswerFuture, Payload, Service};

pub(crate) use delivery::store_until;
pub(crate) use intake::Intake;
