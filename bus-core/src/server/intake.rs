//! The one loop that takes deliveries, and the handle that ends it.

use crate::{
    error::BoxError,
    transport::{Deliveries, Delivery},
};
use std::{future::Future, time::Duration};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// A stream of deliveries, and what ends it.
pub(crate) struct Intake {
    /// The service or group, for errors and logs.
    pub(crate) name: String,
    pub(crate) deliveries: Box<dyn Deliveries>,
    /// Fired when the time to drain is up: what still runs is no longer waited for.
    pub(crate) cancel: CancellationToken,
    pub(crate) drain_within: Duration,
    pub(crate) closed: CancellationToken,
    /// Fired when the bus gives its intakes no more time to drain.
    pub(crate) abandoned: CancellationToken,
    /// The bus waits for these when it is closed.
    pub(crate) tasks: TaskTracker,
}

impl Intake {
    /// Starts the loop: when `ready` says that there is room, takes a delivery and hands it to
    /// `deliver` in a task of its own. A delivery is never taken before there is room, so that
    /// what can't be worked on stays where other workers find it.
    pub(crate) fn start<R, Ready, Deliver>(
        self,
        ready: impl Fn() -> Ready + Send + Sync + 'static,
        deliver: impl Fn(R, Delivery) -> Deliver + Send + Sync + 'static,
    ) -> Serving
    where
        R: Send + 'static,
        Ready: Future<Output = Result<R, BoxError>> + Send + 'static,
        Deliver: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let (name, tasks) = (self.name.clone(), self.tasks.clone());
        let task = tasks.spawn(self.run(stop.clone(), ready, deliver));
        Serving {
            name,
            stop: stop.drop_guard(),
            task,
        }
    }

    async fn run<R, Ready, Deliver>(
        mut self,
        stop: CancellationToken,
        ready: impl Fn() -> Ready + Send + Sync,
        deliver: impl Fn(R, Delivery) -> Deliver + Send + Sync,
    ) -> Result<Drained, ServingError>
    where
        R: Send + 'static,
        Ready: Future<Output = Result<R, BoxError>> + Send + 'static,
        Deliver: Future<Output = ()> + Send + 'static,
    {
        let tracker = TaskTracker::new();
        let taking = async {
            loop {
                let room = match ready().await {
                    Ok(room) => room,
                    Err(error) => {
                        let name = self.name.clone();
                        tracing::error!(name, %error, "a layer of the server can't take requests");
                        return ServingError::Stopped {
                            name,
                            source: error,
                        };
                    }
                };
                let Some(delivery) = self.deliveries.next().await else {
                    let name = self.name.clone();
                    return ServingError::Disconnected { name };
                };
                let cancel = self.cancel.clone();
                // Boxed: a task's future is moved several times before it runs.
                let delivering = Box::pin(deliver(room, delivery));
                tracker.spawn(async move {
                    // Dropped, the delivery gives its message back to the queue.
                    tokio::select! {
                        biased;
                        () = delivering => {}
                        () = cancel.cancelled() => {}
                    }
                });
            }
        };
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            () = self.closed.cancelled() => Ok(()),
            error = taking => Err(error),
        };
        self.deliveries.stop().await;
        tracker.close();
        let drained = tokio::select! {
            drained = timeout(self.drain_within, tracker.wait()) => drained.is_ok(),
            () = self.abandoned.cancelled() => false,
        };
        let given_back = tracker.len();
        self.cancel.cancel();
        tracker.wait().await;
        match ended {
            Err(error) if !self.closed.is_cancelled() => Err(error),
            _ => Ok(Drained {
                given_back: if drained { 0 } else { given_back },
            }),
        }
    }
}

/// The end of a shutdown: all that was running is done, or given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Deliveries that were not done when the time was up. Their messages went back to the queue;
    /// commands among them go on in the background for as long as the process lives.
    pub given_back: usize,
}

/// A service or subscription that was up stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServingError {
    /// A layer failed for good, or the loop that takes deliveries did.
    #[error("{name} has stopped by itself")]
    Stopped {
        /// The service or group.
        name: String,
        /// The failure.
        #[source]
        source: BoxError,
    },
    /// The transport was closed, and not by its bus.
    #[error("{name} has no transport any more")]
    Disconnected {
        /// The service or group.
        name: String,
    },
}

/// A service that is being served, or a subscription. Dropped, it is shut down in the background.
#[derive(Debug)]
#[must_use = "dropped, the service stops"]
pub struct Serving {
    name: String,
    stop: DropGuard,
    task: JoinHandle<Result<Drained, ServingError>>,
}

impl Serving {
    /// Serves until `shutdown` is ready, then drains: takes no more deliveries, lets running
    /// handlers finish within the bound, gives the rest back to the queue.
    ///
    /// # Errors
    /// It stopped by itself: a layer failed for good ([`ServingError::Stopped`]).
    ///
    /// # Cancel safety
    /// Dropped, it shuts down in the background.
    pub async fn run_until<F: Future>(self, shutdown: F) -> Result<Drained, ServingError> {
        let Self {
            name,
            stop,
            mut task,
        } = self;
        tokio::select! {
            _ = shutdown => {
                drop(stop);
                task.await
            }
            ended = &mut task => ended,
        }
        .unwrap_or_else(|panic| {
            Err(ServingError::Stopped {
                name,
                source: panic.into(),
            })
        })
    }

    /// Shuts down now; see [`run_until`](Self::run_until).
    ///
    /// # Errors
    /// As [`run_until`](Self::run_until).
    ///
    /// # Cancel safety
    /// Dropped, it goes on in the background.
    pub async fn shutdown(self) -> Result<Drained, ServingError> {
        self.run_until(std::future::ready(())).await
    }
}
