//! The handle of a service or subscription that is up, and the ways it ends.

use crate::error::BoxError;
use std::future::Future;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

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
    #[non_exhaustive]
    Stopped {
        /// The service or group, as in "service Accounts".
        name: String,
        /// The failure.
        #[source]
        source: BoxError,
    },
    /// The transport was closed, and not by its bus.
    #[error("{name} has no transport any more")]
    #[non_exhaustive]
    Disconnected {
        /// The service or group, as in "service Accounts".
        name: String,
    },
}

/// A service that is being served, or a subscription. Dropped, it is shut down in the background,
/// and [`Health::not_consumed`](crate::Health::not_consumed) names its queue: that is taken for a
/// mistake, until the queue is served again. To end one on purpose, [`shutdown`](Self::shutdown).
///
/// ```
/// # use replybus::{Bus, Never, queue_handler};
/// # #[queue_handler("greeter.requests")]
/// # pub trait Greeter {
/// #     #[query]
/// #     async fn greet(&self, name: String) -> Result<String, Never>;
/// # }
/// # struct English;
/// # impl Greeter for English {
/// #     async fn greet(&self, name: String) -> Result<String, Never> {
/// #         Ok(format!("Hello, {name}!"))
/// #     }
/// # }
/// #
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::in_memory();
/// let serving = bus.serve(GreeterServer::new(English)).await?;
///
/// // .. until Ctrl-C, and then as long as running handlers take:
/// # let stop = std::future::ready(());
/// # let _ = "
/// let stop = tokio::signal::ctrl_c();
/// # ";
/// let drained = serving.run_until(stop).await?;
/// assert_eq!(drained.given_back, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropped, the service stops"]
pub struct Serving {
    pub(super) name: String,
    pub(super) stop: DropGuard,
    /// Fired when it is shut down, and not only dropped.
    pub(super) asked: CancellationToken,
    pub(super) task: JoinHandle<Result<Drained, ServingError>>,
}

impl Serving {
    /// Serves until `shutdown` is ready, then drains: takes no more deliveries, lets running
    /// handlers finish within the bound, gives the rest back to the queue.
    ///
    /// # Errors
    /// It stopped by itself: a layer failed for good ([`ServingError::Stopped`]), or its transport
    /// was closed ([`ServingError::Disconnected`]).
    ///
    /// # Cancel safety
    /// Dropped, it shuts down in the background.
    pub async fn run_until<F: Future>(self, shutdown: F) -> Result<Drained, ServingError> {
        let Self {
            name,
            stop,
            asked,
            mut task,
        } = self;
        tokio::select! {
            biased;
            _ = shutdown => {
                asked.cancel();
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
