//! Commands that their handlers put off: an error that passes is marked by [`RetryLater`], and the
//! command is run again after a pause, as often as its method's
//! [`RetryPolicy`](crate::contract::RetryPolicy) says.
//!
//! A short pause is waited for under the claim, in the worker. For a longer one the command is put
//! aside: its message is published again, to wait on the broker, and only then its delivery is
//! acknowledged. How often it ran, and of what each run failed, is in the message.

mod aside;
mod mark;
mod retries;

pub use mark::RetryLater;

pub(crate) use aside::{Aside, Put};
pub(crate) use retries::{Next, Retries, is_of_retries};
