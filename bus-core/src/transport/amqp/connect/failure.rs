//! The failures on a connection, told apart by what to do about them.

use lapin::{
    ErrorKind,
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
};

/// A failure in our own terms: lapin's types end here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The broker answered and said no; it would again.
    Refused,
    /// The broker knows no such queue or exchange.
    Missing,
    /// The broker knows the queue or exchange, with other arguments.
    Mismatch,
    /// A queue gave no answer, on a connection that does.
    Silent,
    /// The connection has as many channels as the broker allows.
    Exhausted,
    /// Anything that another attempt may overcome.
    Transient,
}

impl Failure {
    pub(crate) fn transient(text: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Transient,
            text: text.into(),
        }
    }

    #[cfg(feature = "tls")]
    fn refused(text: String) -> Self {
        Self {
            kind: FailureKind::Refused,
            text,
        }
    }

    /// No more than `max` channels.
    pub(super) fn exhausted(max: u16) -> Self {
        Self {
            kind: FailureKind::Exhausted,
            text: format!("all {max} channels that the broker allows a connection are in use"),
        }
    }

    /// A name that AMQP has no room for.
    pub(crate) fn too_long(name: &str) -> Self {
        Self {
            kind: FailureKind::Mismatch,
            text: format!("the name of {} bytes is too long for AMQP", name.len()),
        }
    }

    pub(super) fn silent(queue: &str) -> Self {
        Self {
            kind: FailureKind::Silent,
            text: format!("queue \"{queue}\" does not answer"),
        }
    }
}

/// `true` if the broker ended a channel with this and left the connection as it is.
pub(super) fn is_of_one_channel(error: &lapin::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ProtocolError(said) if matches!(said.kind(), AMQPErrorKind::Soft(_))
    )
}

impl From<lapin::Error> for Failure {
    fn from(error: lapin::Error) -> Self {
        let said = match error.kind() {
            ErrorKind::ProtocolError(said) => said,
            ErrorKind::ChannelsLimitReached => {
                return Self {
                    kind: FailureKind::Exhausted,
                    text: error.to_string(),
                };
            }
            #[cfg(feature = "tls")]
            ErrorKind::IOError(io) => {
                return super::tls::refusal(io)
                    .map_or_else(|| Self::transient(error.to_string()), Self::refused);
            }
            _ => return Self::transient(error.to_string()),
        };
        let kind = match said.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED | AMQPSoftError::RESOURCELOCKED)
            | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED | AMQPHardError::INVALIDPATH) => {
                FailureKind::Refused
            }
            AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => FailureKind::Missing,
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => FailureKind::Mismatch,
            _ => FailureKind::Transient,
        };
        Self {
            kind,
            text: said.get_message().to_string(),
        }
    }
}
