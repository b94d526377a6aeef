//! The connections to the broker: opened, watched, cut, and opened again, for ever.

mod backoff;
mod failure;
mod frames;
mod link;
mod live;
mod open;
mod quiet;
mod runtime;
mod socket;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod url;

pub(super) use backoff::Backoff;
pub(super) use failure::{Failure, FailureKind};
pub(super) use frames::{ChannelClose, Marker};
pub(super) use link::{Link, LinkState};
pub(super) use live::Live;
pub(super) use open::Broker;
#[cfg(feature = "tls")]
pub(super) use tls::Tls;
pub(super) use url::Address;
