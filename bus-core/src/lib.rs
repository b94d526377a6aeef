//! replybus: calls over a RabbitMQ queue, answered via Redis.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod call_id;
pub mod contract;
pub mod error;
pub mod limits;
pub mod message;
pub mod reply;
pub mod transport;

// Stand-in until the bus itself is in place.
#[doc(hidden)]
pub struct Bus;

pub use call_id::CallId;
pub use error::{CallError, CallFailure, FailureKind, SetupError};
