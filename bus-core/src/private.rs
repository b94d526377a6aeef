//! What generated code names. Not public API: it changes with the macros.

pub use crate::server::service::{answer, no_such_method};
pub use serde;
