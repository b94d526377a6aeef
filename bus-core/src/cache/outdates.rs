//! Commands that make kept answers untrue, and whoever else says that they are.

use super::tags;
use crate::{
    bus::Bus,
    contract::{MethodContract, check_name},
    error::FaultCode,
    limits::CALL_TIMEOUT_MAX,
    message::Text,
    reply::{ReplyStore, StoreError},
    server::Payload,
    work::{Answer, AnswerFuture, Pauses},
};
use futures_util::FutureExt;
use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// First and longest pause before answers are invalidated again.
const AGAIN_MIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// A command after which answers are untrue.
pub(crate) struct Outdates {
    pub(crate) store: Arc<dyn ReplyStore>,
    /// Without the namespace.
    pub(crate) queue: Arc<str>,
    pub(crate) service: &'static str,
    pub(crate) method: &'static MethodContract,
}

impl Outdates {
    /// Runs the handler of the command, and then, before anybody is told of its outcome, invalidates
    /// what it may have made untrue. So no record of the outcome is there before that is done.
    pub(crate) fn after(
        self: Box<Self>,
        payload: Payload,
        handler: impl FnOnce(Payload) -> AnswerFuture + Send + 'static,
    ) -> AnswerFuture {
        Box::pin(async move {
            let templates = self.method.invalidates;
            let tags = match tags::of_call(templates, payload.content_type, &payload.body) {
                Ok(tags) => tags,
                Err(error) => return Answer::fault(FaultCode::BadRequest, error.to_string()),
            };
            let handled = AssertUnwindSafe(async { handler(payload).await });
            let handled = handled.catch_unwind().await;
            let may_be_done = handled.as_ref().map_or(true, |answer| {
                let fault = answer.as_fault();
                answer.is_ok() || fault.is_some_and(|fault| fault.may_have_executed)
            });
            if may_be_done {
                self.invalidate(&tags).await;
            }
            handled.unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// As a reply is stored: however long it takes the store to come back, within a bound. Until then
    /// nobody is told that the command has succeeded.
    async fn invalidate(&self, tags: &[Text]) {
        let (service, method) = (self.service, self.method.name);
        let until = Instant::now() + CALL_TIMEOUT_MAX;
        let mut pauses = Pauses::new(AGAIN_MIN, AGAIN_MAX);
        while let Err(error) = self.store.invalidate(&self.queue, tags).await {
            metrics::counter!("replybus_store_failures_total").increment(1);
            let pause = pauses.next();
            if Instant::now() + pause > until {
                tracing::error!(service, method, %error, "answers that are untrue are kept until their time is over");
                return;
            }
            tracing::warn!(service, method, %error, "answers were not invalidated");
            sleep(pause).await;
        }
        metrics::counter!("replybus_cache_invalidations_total", "service" => service, "method" => method)
            .increment(1);
    }
}

impl Bus {
    /// Has no answer given to anybody any more that queries of the service of `queue` kept under one
    /// of these [tags](crate::contract::CachePolicy::tags), as they are with arguments in their
    /// places. For what is changed by other ways than the service's own commands, which
    /// [say so](crate::contract::MethodContract::invalidates) in their contract.
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler};
    ///
    /// #[queue_handler("product.requests")]
    /// pub trait Products {
    ///     #[query(cache = "300s", tags("product:{id}", "products"))]
    ///     async fn name(&self, id: u32) -> Result<String, Never>;
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// // After an import into the table of products:
    /// bus.invalidate(ProductsClient::CONTRACT.queue, ["products"]).await?;
    /// bus.invalidate("product.requests", ["product:7", "product:8"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The name can't be a queue's, or the reply store can't be reached within its own bound.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may or may not be done.
    pub async fn invalidate<T: AsRef<str>>(
        &self,
        queue: &str,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<(), StoreError> {
        check_name("queue", queue).map_err(|error| StoreError::new("invalidate answers", error))?;
        let tags: Vec<Text> = tags
            .into_iter()
            .map(|tag| tags::digest(tag.as_ref()))
            .collect();
        let bus = self.inner();
        bus.replies.invalidate(queue, &tags).await
    }
}
