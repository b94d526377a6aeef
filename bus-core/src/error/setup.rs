//! Why a bus, a service or a subscription could not start.

use super::BoxError;

/// Starting failed and nothing was left half-started, or what was started has stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A setting makes no sense. Says which, why, and what is allowed.
    #[error("{setting}: {reason}")]
    Setting {
        /// The setting, as the user wrote it, without secrets.
        setting: String,
        /// What is wrong with it and how to put it right.
        reason: String,
    },
    /// A server could not be reached in time.
    #[error("{server} can't be reached at {address}")]
    Unreachable {
        /// "RabbitMQ" or "Redis".
        server: &'static str,
        /// Host and port, without credentials.
        address: String,
        /// The last failure.
        #[source]
        source: BoxError,
    },
    /// A server was reached and said no: wrong password, no permission, no such vhost.
    #[error("{server} at {address} refused the connection: {reason}")]
    Refused {
        /// "RabbitMQ" or "Redis".
        server: &'static str,
        /// Host and port, without credentials.
        address: String,
        /// The server's own words.
        reason: String,
    },
    /// A queue or exchange exists with other arguments, or may not be declared.
    #[error("{what} can't be declared: {reason}")]
    Topology {
        /// The queue or exchange.
        what: String,
        /// The broker's own words, and how to put it right.
        reason: String,
    },
    /// A queue gave no answer in time, though the broker did: a quorum queue without a majority of
    /// its nodes, or one that is stuck.
    #[error("{queue} gives no answer, though RabbitMQ does")]
    NoAnswer {
        /// The queue.
        queue: String,
    },
    /// A service or subscription that was up stopped by itself.
    #[error("it has stopped by itself")]
    Stopped {
        /// What failed: a layer of the service, or the loop that takes deliveries.
        #[source]
        source: BoxError,
    },
    /// The bus was closed.
    #[error("the bus is closed")]
    Closed,
}

impl SetupError {
    /// A setting that makes no sense.
    pub fn setting(setting: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Setting {
            setting: setting.into(),
            reason: reason.into(),
        }
    }
}
