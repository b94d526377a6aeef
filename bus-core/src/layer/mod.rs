//! Layers around calls and services, on both sides of the bus: those that are here, one that is a
//! function, and those that a bus puts around all of its own.
//!
//! A layer of one's own is a [`tower::Layer`], around a
//! [`ClientService`](crate::client::ClientService) or a
//! [`ServerService`](crate::server::ServerService); [`from_fn`] makes one of an async function. Those
//! that are here already:
//!
//! | layer | around | |
//! |---|---|---|
//! | [`RetryLayer`](crate::client::RetryLayer) | clients | makes failed calls again, within a budget |
//! | [`BreakerLayer`](crate::client::BreakerLayer) | clients | stops asking what fails |
//! | [`RateLimitLayer`] | both | no more than so many calls in a time |
//! | [`AuditLayer`] | services | a record of each call |
//!
//! tower's own fit as well: `ConcurrencyLimitLayer`, `LoadShedLayer`, `TimeoutLayer`. Its
//! `RateLimitLayer` makes a service that can't be cloned, and needs a buffer before it.

mod audit;
mod everywhere;
mod from_fn;
mod rate_limit;

pub use audit::{AuditLayer, AuditRecord, AuditService};
pub use from_fn::{FromFn, FromFnService, Next, from_fn};
pub use rate_limit::{RateLimitLayer, RateLimitService};

pub(crate) use everywhere::Everywhere;
