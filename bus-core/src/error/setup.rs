//! The error of a bus, a service or a subscription that could not start.

use super::BoxError;

/// A start that failed, of which nothing was left half-started.
///
/// ```
/// use replybus::{Bus, Never, SetupError, queue_handler};
///
/// #[queue_handler("greeter.requests")]
/// pub trait Greeter {
///     async fn greet(&self) -> Result<String, Never>;
/// }
/// # struct English;
/// # impl Greeter for English {
/// #     async fn greet(&self) -> Result<String, Never> { Ok("Hello!".into()) }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let bus = Bus::in_memory();
/// match bus.serve(GreeterServer::new(English)).concurrency(0).await {
///     Err(SetupError::Setting { setting, reason, .. }) => {
///         assert_eq!(setting, "concurrency");
///         println!("{reason}");
///     }
///     Err(SetupError::Unreachable { server, address, .. }) => println!("{server}: {address}?"),
///     other => panic!("{other:?}"),
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A setting makes no sense. Says which, why, and what is allowed.
    #[error("{setting}: {reason}")]
    #[non_exhaustive]
    Setting {
        /// The setting, as the user wrote it, without secrets.
        setting: String,
        /// The mistake in it, and how to put it right.
        reason: String,
    },
    /// A server could not be reached in time.
    #[error("{server} can't be reached at {address}")]
    #[non_exhaustive]
    Unreachable {
        /// "RabbitMQ", "Redis", or the name of another one.
        server: &'static str,
        /// Host and port, without credentials.
        address: String,
        /// The last failure.
        #[source]
        source: BoxError,
    },
    /// A server was reached and said no: wrong password, no permission, no such vhost.
    #[error("{server} at {address} refused the connection: {reason}")]
    #[non_exhaustive]
    Refused {
        /// "RabbitMQ", "Redis", or the name of another one.
        server: &'static str,
        /// Host and port, without credentials.
        address: String,
        /// The server's own words.
        reason: String,
    },
    /// A queue or exchange exists with other arguments, or may not be declared.
    #[error("{what} can't be declared: {reason}")]
    #[non_exhaustive]
    Topology {
        /// The queue or exchange.
        what: String,
        /// The broker's own words, and how to put it right.
        reason: String,
    },
    /// A queue gave no answer in time, though the broker did: a quorum queue without a majority of
    /// its nodes, or one that is stuck.
    #[error("{queue} gives no answer, though its broker does")]
    #[non_exhaustive]
    NoAnswer {
        /// The queue.
        queue: String,
    },
    /// The bus was closed.
    #[error("the bus is closed")]
    Closed,
    /// The tokio runtime that the bus was connected on has ended, and all that the bus did on it: a
    /// bus lives as long as its runtime. Connect another one on the present runtime.
    #[error("the runtime of this bus has ended")]
    RuntimeEnded,
}

impl SetupError {
    /// A setting that makes no sense, with the reason; without secrets.
    ///
    /// ```
    /// use replybus::SetupError;
    ///
    /// let error = SetupError::setting("pool_size", "is 0; 1 to 64 are allowed");
    /// assert_eq!(error.to_string(), "pool_size: is 0; 1 to 64 are allowed");
    /// ```
    pub fn setting(setting: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Setting {
            setting: setting.into(),
            reason: reason.into(),
        }
    }

    /// A server, such as "Redis", that could not be reached in time, with the last failure.
    pub fn unreachable(
        server: &'static str,
        address: impl Into<String>,
        source: impl Into<BoxError>,
    ) -> Self {
        Self::Unreachable {
            server,
            address: address.into(),
            source: source.into(),
        }
    }

    /// A server, such as "Redis", that was reached and said no, with its own words.
    pub fn refused(
        server: &'static str,
        address: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Refused {
            server,
            address: address.into(),
            reason: reason.into(),
        }
    }

    /// A queue or exchange that exists with other arguments or may not be declared, with the
    /// broker's own words.
    ///
    /// ```
    /// use replybus::SetupError;
    ///
    /// let error = SetupError::topology("queue \"greeter.requests\"", "it is a quorum queue");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "queue \"greeter.requests\" can't be declared: it is a quorum queue",
    /// );
    /// ```
    pub fn topology(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Topology {
            what: what.into(),
            reason: reason.into(),
        }
    }

    /// A queue, such as `queue "greeter.requests"`, that gave no answer in time, though its broker
    /// did.
    pub fn no_answer(queue: impl Into<String>) -> Self {
        Self::NoAnswer {
            queue: queue.into(),
        }
    }
}
