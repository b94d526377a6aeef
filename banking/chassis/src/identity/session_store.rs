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

/// Sessions of one user that are alive at a time: with one more the oldest ends. Nobody has so many
/// devices, and whoever logs in again and again must not fill Redis.
const OF_USER_MAX: usize = 100;
/// The rank of the newest session that is one too many, counted from the newest, which is -1.
const SURPLUS: isize = -101;
/// Sessions that are ended at a time: an older version let a user have any number.
const ENDED_AT_ONCE: usize = 1_000;

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
            Kind::Memory { sessions, ended } => {
                let now = Instant::now();
                let mut sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
                sessions.retain(|_, (_, until)| *until > now);
                let of_user = sessions.iter().filter(|(_, (holder, _))| *holder == user);
                let mut others: Vec<_> = of_user.map(|(id, (_, until))| (*until, *id)).collect();
                sessions.insert(session, (user, now + ttl));
                others.sort_unstable();
                let surplus = (others.len() + 1).saturating_sub(OF_USER_MAX);
                for (_, oldest) in others.into_iter().take(surplus) {
                    sessions.remove(&oldest);
                    tell_here(ended, user, oldest);
                }
                Ok(())
            }
            Kind::Redis {
                connection, prefix, ..
            } => {
                // Among those of its user first: one that is not could not be ended with them.
                let (of_user, now) = (of_user(prefix, user), since_epoch());
                // Finer than seconds, so that of many that begin at once the oldest is known.
                let (now, until) = (now.as_secs_f64(), now.saturating_add(ttl).as_secs_f64());
                let mut all = redis::pipe();
                all.zrembyscore(&of_user, 0, now).ignore();
                all.zadd(&of_user, session.to_string(), until).ignore();
                all.expire(&of_user, SESSION_SECONDS_MAX).ignore();
                let key = format!("{prefix}{session}");
                all.set_ex(key, user.to_string(), ttl.as_secs()).ignore();
                all.zrange(&of_user, 0, SURPLUS);
                let (surplus,): (Vec<String>,) = ask_all(connection, &all).await?;
                // Those that lasted longer when they began may push this one among the oldest.
                self.end_all(user, &others(&surplus, session)).await
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
                if let Some((user, _)) = holder {
                    tell_here(ended, user, session);
                }
                Ok(())
            }
            // One that nobody holds has ended.
            Kind::Redis { .. } => match self.holder(session).await? {
                Some(user) => self.end_all(user, &[session]).await,
                None => Ok(()),
            },
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
                        tell_here(ended, user, *session);
                    }
                    stays
                });
                Ok(())
            }
            Kind::Redis {
                connection, prefix, ..
            } => {
                let all = Cmd::zrange(of_user(prefix, user), 0, -1);
                let all: Vec<String> = ask(connection, all).await?;
                self.end_all(user, &others(&all, kept)).await
            }
        }
    }

    /// Ends these sessions of a user in Redis, takes them from the user's set, and tells of it.
    async fn end_all(&self, user: UserId, sessions: &[Uuid]) -> Result<(), RedisError> {
        let Kind::Redis {
            connection,
            prefix,
            ended,
        } = &self.0
        else {
            return Ok(());
        };
        for some in sessions.chunks(ENDED_AT_ONCE) {
            let keys = some.iter().map(|session| format!("{prefix}{session}"));
            let members = some.iter().map(Uuid::to_string);
            let mut end = redis::pipe();
            // From the set last: what is left there can be ended again.
            end.del(keys.collect::<Vec<_>>()).ignore();
            end.zrem(of_user(prefix, user), members.collect::<Vec<_>>())
                .ignore();
            ask_all::<()>(connection, &end).await?;
            tell(connection, ended, user, some).await;
        }
        Ok(())
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

/// The sessions of a set, but for one.
fn others(of_user: &[String], kept: Uuid) -> Vec<Uuid> {
    let sessions = of_user
        .iter()
        .filter_map(|session| session.parse::<Uuid>().ok());
    sessions.filter(|session| *session != kept).collect()
}

fn since_epoch() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

/// Says in this process that a session has ended.
fn tell_here(ended: &broadcast::Sender<EndedSession>, user_id: UserId, session: Uuid) {
    // That nobody listens is no error.
    let _ = ended.send(EndedSession { user_id, session });
}

/// Says that sessions have ended. They have, whether or not that is heard: who holds something open
/// for one looks from time to time.
async fn tell(connection: &ConnectionManager, channel: &str, user_id: UserId, sessions: &[Uuid]) {
    let mut tell = redis::pipe();
    for session in sessions.iter().copied() {
        match serde_json::to_string(&EndedSession { user_id, session }) {
            Ok(text) => tell.publish(channel, text).ignore(),
            Err(error) => return tracing::error!(%error, "an ended session can't be told of"),
        };
    }
    if let Err(error) = ask_all::<()>(connection, &tell).await {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "nobody was told that sessions have ended");
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

/// The same of several commands.
async fn ask_all<T: FromRedisValue>(
    connection: &ConnectionManager,
    commands: &Pipeline,
) -> Result<T, RedisError> {
    match commands.query_async(&mut connection.clone()).await {
        Err(error) if is_lost(&error) => commands.query_async(&mut connection.clone()).await,
        answer => answer,
    }
}
