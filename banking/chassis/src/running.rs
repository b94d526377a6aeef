//! A service that runs, and how it stops.

use replybus::server::Serving;
use std::{future::Future, time::Duration};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Time for all that runs to end. What is under way then is given up, as if the process had been
/// killed: messages go back to their queues. A queue alone drains for 20 s.
const STOP_WITHIN: Duration = Duration::from_secs(25);

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

    /// Stops what was started later, the last first. Then lets running handlers end, within the
    /// time that the bus gives them, and then what goes on beside. All of it together takes 25 s at
    /// most; what has not ended then is left behind.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it goes on in the background, or runs on.
    pub async fn stop(self) {
        if timeout(STOP_WITHIN, self.drain()).await.is_err() {
            tracing::warn!("what had not ended after {STOP_WITHIN:?} is given up");
        }
    }

    async fn drain(self) {
        for later in self.later.into_iter().rev() {
            Box::pin(later.drain()).await;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::Instant;

    /// A service beside which something goes on for so long after the stop.
    fn lingering(lasts: Duration) -> Running {
        Running::new().beside(move |stop| async move {
            stop.cancelled().await;
            tokio::time::sleep(lasts).await;
        })
    }

    #[tokio::test(start_paused = true)]
    async fn services_stop_one_after_the_other() {
        let second = Duration::from_secs(1);
        let running = lingering(second)
            .with(lingering(second))
            .with(lingering(second));
        let began = Instant::now();
        running.stop().await;
        assert_eq!(began.elapsed(), 3 * second);
    }

    #[tokio::test(start_paused = true)]
    async fn all_of_them_together_have_one_deadline() {
        let long = Duration::from_secs(20);
        let never = Running::new().beside(|_| pending());
        for running in [
            lingering(long).with(lingering(long)).with(lingering(long)),
            lingering(long).with(never),
        ] {
            let began = Instant::now();
            running.stop().await;
            assert_eq!(began.elapsed(), STOP_WITHIN);
        }
    }
}
