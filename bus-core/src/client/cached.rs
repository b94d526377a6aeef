//! Calls of queries whose answers are kept for others: what their callers can say, and are told.

use super::{Call, CallRequest, ServiceClient, Verb, answered::told};
use crate::{cache::CacheStatus, contract::Outcome, error::CallError, schedule::When};

/// What a query came to, and where its answer came from.
pub(super) type Told<R> = (<R as Outcome>::Ok, Option<CacheStatus>);

impl<R: Outcome> Call<R> {
    /// Has the service asked, whatever answer was kept; what it says is kept for others. Without a
    /// [cache](crate::contract::CachePolicy) in its contract a query is asked of the service anyway.
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler};
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// #[queue_handler("visitor.requests")]
    /// pub trait Visitors {
    ///     #[query(cache = "1m")]
    ///     async fn count(&self) -> Result<u32, Never>;
    /// }
    ///
    /// struct Door(AtomicU32);
    ///
    /// impl Visitors for Door {
    ///     async fn count(&self) -> Result<u32, Never> {
    ///         Ok(self.0.fetch_add(1, Ordering::SeqCst))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(VisitorsServer::new(Door(0.into()))).await?;
    /// let visitors = VisitorsClient::new(&bus);
    /// assert_eq!((visitors.count().await?, visitors.count().await?), (0, 0));
    /// assert_eq!(visitors.count().uncached().await?, 1);
    /// assert_eq!(visitors.count().await?, 1);
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn uncached(mut self) -> Self {
        self.anew = true;
        self
    }

    /// Makes the call, and tells where its answer came from: `None` if no answers of its method are
    /// kept. For a gateway that says so in a header, or a test.
    ///
    /// ```
    /// use replybus::{Bus, Never, client::CacheStatus, queue_handler};
    ///
    /// #[queue_handler("product.requests")]
    /// pub trait Products {
    ///     #[query(cache = "300s", tags("product:{id}"))]
    ///     async fn name(&self, id: u32) -> Result<String, Never>;
    /// }
    /// # struct Shelf;
    /// # impl Products for Shelf {
    /// #     async fn name(&self, id: u32) -> Result<String, Never> { Ok(id.to_string()) }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(ProductsServer::new(Shelf)).await?;
    /// let products = ProductsClient::new(&bus);
    /// let (name, status) = products.name(7).with_cache_status().await?;
    /// # assert_eq!((name.as_str(), status), ("7", Some(CacheStatus::Miss)));
    /// let (name, status) = products.name(7).with_cache_status().await?;
    /// if let Some(status) = status {
    ///     println!("x-cache: {status}"); // x-cache: hit
    /// }
    /// # assert_eq!((name.as_str(), status), ("7", Some(CacheStatus::Hit)));
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As of the call when it is awaited.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the call is cancelled, as when it is awaited.
    pub async fn with_cache_status(
        self,
    ) -> Result<(R::Ok, Option<CacheStatus>), CallError<R::Err>> {
        let mut tally = self.tally();
        let called = match self.prepare(Verb::Call, When::Now) {
            // Boxed, as an awaited call is.
            Ok((client, request)) => Box::pin(told::<R>(client, request)).await,
            Err(failure) => Err(failure.into()),
        };
        tally.count_answered(&called);
        called
    }
}

/// Makes a call again whose kept answer is of no use: it was kept by a program for which the type of
/// the answer is another. It is computed anew, and kept in its place.
pub(super) async fn ask_anew<R: Outcome>(
    client: ServiceClient,
    mut request: CallRequest,
) -> Result<Told<R>, CallError<R::Err>> {
    let (service, method) = (request.service(), request.method());
    tracing::warn!(
        service,
        method,
        "a kept answer is not of the type that is asked for"
    );
    request.anew = true;
    told::<R>(client, request).await
}
