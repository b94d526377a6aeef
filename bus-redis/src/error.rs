//! The failures of Redis or the way to it, and what to do about each.

use deadpool_redis::{PoolError, redis};
use redis::{ErrorKind, RedisError, ServerErrorKind};
use replybus::{SetupError, reply::StoreError};
use std::time::Duration;

/// The failure of one command, or of the connection for it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer from Redis within {0:?}")]
    Silent(Duration),
    #[error("no connection to Redis within the time allowed")]
    NoConnection,
    #[error("Redis failed")]
    Redis(#[from] RedisError),
    #[error("Redis answered with something else than was asked for")]
    Unexpected,
    #[error("the reply store is closed")]
    Closed,
}

/// The remedy that a failure calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cure {
    /// The connection is of no use any more: take another.
    Reconnect,
    /// The server can't right now: ask again in a moment.
    Wait,
    /// The server said no and will say so again.
    None,
}

impl Failure {
    pub(crate) fn cure(&self) -> Cure {
        match self {
            Self::Silent(_) | Self::NoConnection => Cure::Reconnect,
            Self::Unexpected | Self::Closed => Cure::None,
            Self::Redis(error) => cure(error),
        }
    }

    /// One line for logs and health, without anything the user sent.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Redis(error) => error.to_string(),
            other => other.to_string(),
        }
    }

    pub(crate) fn store(self, action: &'static str) -> StoreError {
        StoreError::new(action, self)
    }

    /// The error that `open` reports: a server that refuses is told from one that is not there.
    pub(crate) fn setup(self, address: &str) -> SetupError {
        match self.refusal() {
            Some(reason) => SetupError::refused("Redis", address, reason),
            None => SetupError::unreachable("Redis", address, self),
        }
    }

    /// The server's reason, if it was reached and said no; then trying again is of no use.
    pub(crate) fn refusal(&self) -> Option<String> {
        let Self::Redis(error) = self else {
            return None;
        };
        let words = error.to_string();
        if words.contains("invalid peer certificate") {
            return Some(words);
        }
        match (error.kind(), error.code()) {
            (ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::CrossSlot), _) => Some(
                format!("{words}; it is part of a Redis Cluster: use redis+cluster://"),
            ),
            (ErrorKind::Server(ServerErrorKind::ResponseError), _) if words.contains("syntax") => {
                Some(format!("{words}; Redis 6.2 or later is needed"))
            }
            (ErrorKind::AuthenticationFailed, _)
            | (ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError), _)
            | (_, Some("NOAUTH" | "WRONGPASS" | "DENIED")) => Some(words),
            // A cluster client wraps the failures of all its nodes in one text.
            _ if ["Password authentication failed", "NOAUTH", "WRONGPASS"]
                .iter()
                .any(|mark| words.contains(mark)) =>
            {
                Some(words)
            }
            _ => None,
        }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Redis(error),
            PoolError::Closed => Self::Closed,
            PoolError::Timeout(_)
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => Self::NoConnection,
        }
    }
}

fn cure(error: &RedisError) -> Cure {
    use ServerErrorKind as Server;
    match error.kind() {
        ErrorKind::Server(kind) => match kind {
            // A failover: the way to the new master leads over a new connection.
            Server::ReadOnly | Server::Moved | Server::Ask => Cure::Reconnect,
            Server::BusyLoading | Server::TryAgain | Server::ClusterDown | Server::MasterDown => {
                Cure::Wait
            }
            _ => Cure::None,
        },
        ErrorKind::UnexpectedReturnType | ErrorKind::InvalidClientConfig => Cure::None,
        ErrorKind::AuthenticationFailed => Cure::None,
        ErrorKind::Extension => match error.code() {
            Some("OOM" | "BUSY" | "NOREPLICAS" | "MISCONF" | "UNBLOCKED") => Cure::Wait,
            _ => Cure::None,
        },
        // What is left concerns the connection, or finding the server behind it.
        _ => Cure::Reconnect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn answered(line: &str) -> Failure {
        match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()) {
            Ok(value) => Failure::Redis(value.extract_error().unwrap_err()),
            Err(error) => Failure::Redis(error),
        }
    }

    #[test]
    fn every_answer_has_a_cure() {
        for (line, cure, refused) in [
            (
                "READONLY You can't write against a read only replica.",
                Cure::Reconnect,
                false,
            ),
            ("MOVED 3999 127.0.0.1:6381", Cure::Reconnect, true),
            (
                "LOADING Redis is loading the dataset in memory",
                Cure::Wait,
                false,
            ),
            ("MASTERDOWN Link with MASTER is down", Cure::Wait, false),
            ("CLUSTERDOWN The cluster is down", Cure::Wait, false),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Cure::Wait,
                false,
            ),
            ("BUSY Redis is busy running a script.", Cure::Wait, false),
            (
                "MISCONF Redis is configured to save RDB snapshots",
                Cure::Wait,
                false,
            ),
            ("NOAUTH Authentication required.", Cure::None, true),
            ("WRONGPASS invalid username-password pair", Cure::None, true),
            ("NOPERM this user has no permissions", Cure::None, true),
            ("ERR syntax error", Cure::None, true),
            ("WRONGTYPE Operation against a key", Cure::None, false),
        ] {
            let failure = answered(line);
            assert_eq!(failure.cure(), cure, "{line}");
            assert_eq!(failure.refusal().is_some(), refused, "{line}");
        }
    }

    #[test]
    fn lost_connections_are_replaced() {
        for kind in [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::TimedOut,
        ] {
            let failure = Failure::Redis(io::Error::from(kind).into());
            assert_eq!(failure.cure(), Cure::Reconnect, "{kind}");
            assert_eq!(failure.refusal(), None, "{kind}");
        }
    }
}
