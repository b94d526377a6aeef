//! The place that the cache is in: texts under keys, each until its time is over.

use super::lock;
use redis::{RedisError, Script, aio::ConnectionManager};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Redis answers within this, or is gone without: a product is worth no longer wait.
const ANSWER_WITHIN: Duration = Duration::from_millis(250);
/// The time in which who left a token comes back with the product, or somebody else may.
const TOKEN_TTL: Duration = Duration::from_secs(10);
/// Products that this process keeps without Redis.
const KEPT_MAX: usize = 10_000;

/// Puts a product where its token is.
static EXCHANGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then
            redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
        end",
    )
});

/// Redis, or a part of this process.
#[derive(Clone)]
pub(super) enum Place {
    Redis(ConnectionManager),
    /// Until when, and what.
    Process(Arc<Mutex<HashMap<String, (Instant, String)>>>),
}

/// Redis did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    #[error("Redis failed")]
    Redis(#[from] RedisError),
    #[error("Redis did not answer in time")]
    Late(#[from] tokio::time::error::Elapsed),
}

impl Place {
    pub(super) async fn get(&self, key: &str) -> Result<Option<String>, CacheError> {
        match self {
            Self::Redis(connection) => {
                let (mut connection, mut get) = (connection.clone(), redis::cmd("GET"));
                let got = get.arg(key).query_async(&mut connection);
                Ok(timeout(ANSWER_WITHIN, got).await??)
            }
            Self::Process(kept) => {
                let kept = lock(kept);
                let found = kept.get(key).filter(|(until, _)| *until > Instant::now());
                Ok(found.map(|(_, text)| text.clone()))
            }
        }
    }

    /// Leaves a token where nothing is; `false` if something is.
    pub(super) async fn add(&self, key: &str, token: &str) -> Result<bool, CacheError> {
        match self {
            Self::Redis(connection) => {
                let (mut connection, mut set) = (connection.clone(), redis::cmd("SET"));
                set.arg(key).arg(token).arg("NX");
                set.arg("EX").arg(TOKEN_TTL.as_secs());
                let was_set = set.query_async(&mut connection);
                let was_set: Option<String> = timeout(ANSWER_WITHIN, was_set).await??;
                Ok(was_set.is_some())
            }
            Self::Process(kept) => {
                let (mut kept, now) = (lock(kept), Instant::now());
                if kept.len() >= KEPT_MAX {
                    kept.retain(|_, (until, _)| *until > now);
                }
                let is_free =
                    kept.get(key).is_none_or(|(until, _)| *until <= now) && kept.len() < KEPT_MAX;
                if is_free {
                    kept.insert(key.to_owned(), (now + TOKEN_TTL, token.to_owned()));
                }
                Ok(is_free)
            }
        }
    }

    pub(super) async fn exchange(
        &self,
        key: &str,
        token: &str,
        text: String,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        match self {
            Self::Redis(connection) => {
                let (mut connection, mut exchange) = (connection.clone(), EXCHANGE.key(key));
                exchange.arg(token).arg(text).arg(ttl.as_secs());
                let exchanged = exchange.invoke_async(&mut connection);
                let () = timeout(ANSWER_WITHIN, exchanged).await??;
            }
            Self::Process(kept) => {
                if let Some(kept) = lock(kept).get_mut(key)
                    && kept.1 == token
                {
                    *kept = (Instant::now() + ttl, text);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn remove(&self, key: &str) -> Result<(), CacheError> {
        match self {
            Self::Redis(connection) => {
                let (mut connection, mut remove) = (connection.clone(), redis::cmd("DEL"));
                let removed = remove.arg(key).exec_async(&mut connection);
                timeout(ANSWER_WITHIN, removed).await??;
            }
            Self::Process(kept) => drop(lock(kept).remove(key)),
        }
        Ok(())
    }
}
