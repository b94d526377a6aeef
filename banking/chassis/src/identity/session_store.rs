//! The sessions that are alive: in Redis, where every service sees the same, or in this process.

use crate::{
    redis_connection::{is_lost, redis_manager},
    settings::TlsSettings,
};
use contracts::UserId;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, aio::ConnectionManager};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::broadcast;
use uuid::Uuid;

/// No session lasts longer: 31 days.
const SESSION_SECONDS_MAX: i64 = 31 * 86_400;

/// Ended sessions of this process that who listens may be behind.
const ENDED_BEHIND_MAX: usize = 256;

/// A session that its user has ended, as those are told who hold something open for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedSession {
    /// The user whose it was.
    pub user_id: UserId,
    /// The session.
    pub session: Uuid,
}

/// The channel of Redis on which it is told that sessions have ended.
#[must_use]
pub fn ended_channel(namespace: &str) -> String {
    match namespace {
        "" => "bank:sessions:ended".to_owned(),
        namespace => format!("{namespace}.bank:sessions:ended"),
    }
}

/// The sessions that are alive. Clones share them.
#[derive(Clone)]
pub struct SessionStore(Kind);

impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Kind::Memory { .. } => "Memory",
            Kind::Redis { .. } => "Redis",
        };
        f.debug_tuple("SessionStore").field(&kind).finish()
    }
}

#[derive(Clone)]
enum Kind {
    Memory {
        sessions: Arc<Mutex<HashMap<Uuid, (UserId, Instant)>>>,
        ended: broadcast::Sender<EndedSession>,
    },
    Redis {
        connection: ConnectionManager,
        prefix: String,
        ended: String,
    },
}

impl SessionStore {
    /// Sessions that only this process knows.
    #[must_use]
    pub fn memory() -> Self {
        Self(Kind::Memory {
            sessions: Arc::default(),
            ended: broadcast::Sender::new(ENDED_BEHIND_MAX),
        })
    }

    /// Sessions in Redis, under `{namespace.}bank:session:{id}`. It connects when it is first
    /// used.
    ///
    /// # Errors
    /// The address can't be read.
    pub fn redis(url: &str, tls: &TlsSettings, namespace: &str) -> anyhow::Result<Self> {
        let prefix = match namespace {
            "" => "bank:session:".to_owned(),
            namespace => format!("{namespace}.bank:session:"),
        };
        let connection = redis_manager(url, tls)?;
        Ok(Self(Kind::Redis {
            connection,
            prefix,
            ended: ended_channel(namespace),
        }))
    }

    /// The sessions that end from now on, if this process alone knows them. Those in Redis are told
    /// of on [`ended_channel`].
    pub(super) fn ended(&self) -> Option<broadcast::Receiver<EndedSession>> {
        match &self.0 {
            Kind::Memory { ended, .. } => Some(ended.subscribe()),
            Kind::Redis { .. } => None,
        }
    }

    pub(super) async fn begin(
        &self,
        session: Uuid,
        user: UserId,
        ttl: Duration,
    ) -> Result<(), RedisError> {
        match &self.0 {
            Kind::Memory { sessions, .. } => {
                let now = Instant::now();
                let mut sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
                sessions.retain(|_, (_, until)| *until > now);
                sessions.insert(session, (user, now + ttl));
                Ok(())
            }
            Kind::Redis {
                connection, prefix, ..
            } => {
                // Among those of its user first: one that is not could not be ended with them.
                let (of_user, now) = (of_user(prefix, user), now_in_seconds());
                let until = now.saturating_add(ttl.as_secs());
                let mut all = redis::pipe();
                all.zrembyscore(&of_user, 0, now).ignore();
                all.zadd(&of_user, session.to_string(), until).ignore();
                all.expire(&of_user, SESSION_SECONDS_MAX).ignore();
                let key = format!("{prefix}{session}");
                all.set_ex(key, user.to_string(), ttl.as_secs()).ignore();
                ask_all(connection, &all).await
            }
        }
    }

    pub(super) async fn holder(&self, session: Uuid) -> Result<Option<UserId>, RedisError> {
        match &self.0 {
            Kind::Memory { sessions, .. } => {
                let sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
                let alive = sessions
                    .get(&session)
                    .filter(|(_, until)| *until > Instant::now());
                Ok(alive.map(|(user, _)| *user))
            }
            Kind::Redis {
                connection, prefix, ..
            } => {
                let get = Cmd::get(format!("{prefix}{session}"));
                let holder: Option<String> = ask(connection, get).await?;
                Ok(holder.and_then(|holder| holder.parse().ok()))
            }
        }
    }

    pub(super) async fn end(&self, session: Uuid) -> Result<(), RedisError> {
        match &self.0 {
            Kind::Memory { sessions, ended } => {
                let mut sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
                let holder = sessions.remove(&session);
                drop(sessions);
                if let Some((user_id, _)) = holder {
                    // That nobody listens is no error.
                    let _ = ended.send(EndedSession { user_id, session });
                }
                Ok(())
            }
            Kind::Redis {
                connection,
                prefix,
                ended,
            } => {
                let holder = self.holder(session).await?;
                ask::<()>(connection, Cmd::del(format!("{prefix}{session}"))).await?;
                if let Some(user_id) = holder {
                    tell(connection, ended, EndedSession { user_id, session }).await;
                }
                Ok(())
            }
        }
    }

    /// Ends all sessions of a user but one.
    pub(super) async fn end_others(&self, user: UserId, kept: Uuid) -> Result<(), RedisError> {
        match &self.0 {
            Kind::Memory { sessions, ended } => {
                let mut sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
                sessions.retain(|session, (holder, _)| {
                    let stays = *holder != user || *session == kept;
                    if !stays {
                        // That nobody listens is no error.
                        let _ = ended.send(EndedSession {
                            user_id: user,
                            session: *session,
                        });
                    }
                    stays
                });
                Ok(())
            }
            Kind::Redis {
                connection,
                prefix,
                ended,
            } => {
                let all = Cmd::zrange(of_user(prefix, user), 0, -1);
                let all: Vec<String> = ask(connection, all).await?;
                let all = all
                    .iter()
                    .filter_map(|session| session.parse::<Uuid>().ok());
                let others: Vec<Uuid> = all.filter(|session| *session != kept).collect();
                if others.is_empty() {
                    return Ok(());
                }
                let keys = others.iter().map(|other| format!("{prefix}{other}"));
                ask::<()>(connection, Cmd::del(keys.collect::<Vec<_>>())).await?;
                for session in others {
                    let user_id = user;
                    tell(connection, ended, EndedSession { user_id, session }).await;
                }
                Ok(())
            }
        }
    }

    pub(super) async fn is_up(&self) -> bool {
        match &self.0 {
            Kind::Memory { .. } => true,
            Kind::Redis { connection, .. } => {
                let ping: Result<(), _> = ask(connection, redis::cmd("PING")).await;
                ping.is_ok()
            }
        }
    }
}

/// The set of a user's sessions, by when they end.
fn of_user(prefix: &str, user: UserId) -> String {
    format!("{prefix}of:{user}")
}

fn now_in_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Says that a session has ended. It has, whether or not that is heard: who holds something open
/// for it looks from time to time.
async fn tell(connection: &ConnectionManager, channel: &str, ended: EndedSession) {
    let told = match serde_json::to_string(&ended) {
        Ok(text) => ask::<()>(connection, Cmd::publish(channel, text)).await,
        Err(error) => return tracing::error!(%error, "an ended session can't be told of"),
    };
    if let Err(error) = told {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "nobody was told that a session has ended");
    }
}

/// Asks Redis, and once more if the connection was lost: the first to ask after that only sets off
/// that it is made again. All that is asked here may be asked twice.
async fn ask<T: FromRedisValue>(
    connection: &ConnectionManager,
    command: Cmd,
) -> Result<T, RedisError> {
    match command.query_async(&mut connection.clone()).await {
        Err(error) if is_lost(&error) => command.query_async(&mut connection.clone()).await,
        answer => answer,
    }
}

/// The same of several commands, of which nobody needs an answer.
async fn ask_all(connection: &ConnectionManager, commands: &Pipeline) -> Result<(), RedisError> {
    match commands.query_async(&mut connection.clone()).await {
        Err(error) if is_lost(&error) => commands.query_async(&mut connection.clone()).await,
        answer => answer,
    }
}
