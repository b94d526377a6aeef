//! What the replicas of a program count together: in Redis, by its clock, one script for each step.

use crate::{digest::keyed_digest, redis_connection::is_lost};
use redis::{FromRedisValue, ScriptInvocation, aio::ConnectionManager};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The replicas of a program, as they count one thing together. Clones are the same ones.
#[derive(Clone)]
pub(crate) struct Replicas {
    connection: ConnectionManager,
    /// Of all keys of this thing.
    prefix: String,
    /// By which names become digests: Redis is not told who is counted, nor what somebody typed.
    key: [u8; 32],
    is_away: Arc<AtomicBool>,
}

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicas")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Replicas {
    /// Those that count `what` under `{namespace.}bank:{what}:`.
    pub(crate) fn new(
        connection: ConnectionManager,
        namespace: &str,
        what: &str,
        key: [u8; 32],
    ) -> Self {
        let dot = if namespace.is_empty() { "" } else { "." };
        Self {
            connection,
            prefix: format!("{namespace}{dot}bank:{what}:"),
            key,
            is_away: Arc::default(),
        }
    }

    /// The key of a name, which does not tell the name.
    pub(crate) fn key_of(&self, name: &str) -> String {
        let digest = keyed_digest(&self.key, &[name]);
        let mut key = self.prefix.clone();
        // Half of it: nobody finds another name with the same.
        for byte in digest.iter().take(16) {
            key += &format!("{byte:02x}");
        }
        key
    }

    /// The key of what is no name. No digest is this word.
    pub(crate) fn key_beside(&self, word: &str) -> String {
        format!("{}{word}", self.prefix)
    }

    /// Runs a script, which may be run twice; `None` if Redis is away, which is logged when it
    /// begins and ends.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the script may run or not.
    pub(crate) async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Option<T> {
        let mut connection = self.connection.clone();
        let mut told = script.invoke_async(&mut connection).await;
        if told.as_ref().is_err_and(is_lost) {
            told = script.invoke_async(&mut connection).await;
        }
        let was_away = self.is_away.swap(told.is_err(), Ordering::Relaxed);
        match told {
            Ok(told) => {
                if was_away {
                    tracing::info!(what = self.prefix, "replicas count together again");
                }
                Some(told)
            }
            Err(error) => {
                if !was_away {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(
                        error,
                        what = self.prefix,
                        "Redis is away: each process counts alone"
                    );
                }
                None
            }
        }
    }
}
