//! A service that runs, and how it stops.

use replybus::server::Serving;
use std::future::Future;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A service that runs: what it serves, and what it does beside. Dropped, it goes on; it is to be
/// [stopped](Self::stop).
#[derive(Debug, Default)]
#[must_use = "a service is to be stopped"]
pub struct Running {
    servings: Vec<Serving>,
    tasks: TaskTracker,
    stop: CancellationToken,
    later: Vec<Self>,
}

impl Running {
    /// A service that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a queue that is served, or a subscription.
    pub fn serving(mut self, serving: Serving) -> Self {
        self.servings.push(serving);
        self
    }

    /// Starts what goes on beside, until the token is cancelled. It is not aborted: it ends by
    /// itself.
    pub fn beside<F>(self, work: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(work(self.stop.child_token()));
        self
    }

    /// Takes over what was started after this, and will be stopped before it.
    pub fn with(mut self, later: Self) -> Self {
        self.later.push(later);
        self
    }

    /// Stops what was started later, the last first. Then lets running handlers end, within the time
    /// that the bus gives them, and then what goes on beside.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it goes on in the background.
    pub async fn stop(self) {
        for later in self.later.into_iter().rev() {
            Box::pin(later.stop()).await;
        }
        let draining = self.servings.into_iter().map(Serving::shutdown);
        for drained in futures_util::future::join_all(draining).await {
            match drained {
                Ok(drained) if drained.given_back == 0 => {}
                Ok(drained) => tracing::warn!(drained.given_back, "deliveries were given back"),
                Err(error) => tracing::error!(%error, "a service had stopped by itself"),
            }
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
