//! The serving side, in the order a delivery travels: the settings of a service, its way in, the
//! layers it passes, the handler, and its settlement. The loop that takes deliveries, and what a
//! command runs under, are shared with events.

mod admission;
mod answering;
mod conclusion;
mod counting;
mod delivery;
mod dispatch;
mod job;
pub(crate) mod layer;
mod missed_inbox;
mod queue_age;
mod reading;
mod request;
mod running;
mod serve;
pub(crate) mod service;
mod start;
mod worked;

pub use crate::work::{Answer, AnswerFuture, Drained, Serving, ServingError};
pub use layer::{ServerLayer, ServerService};
pub use request::Request;
pub use serve::Serve;
pub use service::{Payload, Service};
