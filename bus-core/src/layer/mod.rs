//! Layers around calls and services, on both sides of the bus: one that is a function, and those that
//! a bus puts around all of its own.
//!
//! A layer of one's own is a [`tower::Layer`], around a
//! [`ClientService`](crate::client::ClientService) or a
//! [`ServerService`](crate::server::ServerService); [`from_fn`] makes one of an async function. Those
//! that are here already: [`RetryLayer`](crate::client::RetryLayer) and
//! [`BreakerLayer`](crate::client::BreakerLayer) of the calling side, and tower's own, such as
//! `TimeoutLayer`, `ConcurrencyLimitLayer` and `LoadShedLayer`. tower's `RateLimitLayer` makes a
//! service that can't be cloned, one with a buffer before it can (tower's features `buffer` and
//! `limit`):
//!
//! ```
//! use replybus::{Bus, Never, client::ClientService, queue_handler};
//! use std::time::Duration;
//! use tower::{ServiceBuilder, layer::layer_fn};
//!
//! # #[queue_handler("stock.requests")]
//! # pub trait Stock {
//! #     #[query]
//! #     async fn count(&self, article: u32) -> Result<u32, Never>;
//! # }
//! # struct Shelf;
//! # impl Stock for Shelf {
//! #     async fn count(&self, _: u32) -> Result<u32, Never> { Ok(3) }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let bus = Bus::in_memory();
//! # let serving = bus.serve(StockServer::new(Shelf)).await?;
//! // No more than 100 calls a second, and no more than 1,000 that wait for their turn.
//! let bounded = ServiceBuilder::new().buffer(1_000).rate_limit(100, Duration::from_secs(1));
//! let stock = StockClient::new(&bus)
//!     .layer(layer_fn(move |inner: ClientService| bounded.service(inner)));
//! assert_eq!(stock.count(17).await?, 3);
//! # serving.shutdown().await?;
//! # Ok(())
//! # }
//! ```

mod everywhere;
mod from_fn;

pub use from_fn::{FromFn, FromFnService, Next, from_fn};

pub(crate) use everywhere::Everywhere;
