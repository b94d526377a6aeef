//! Who serves a queue: the instances of a service, each under an id of its own.

mod id;

pub use id::{InstanceId, InvalidInstanceId};
