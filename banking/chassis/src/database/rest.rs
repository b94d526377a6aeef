//! Connections to PostgreSQL that nobody uses, the one used last first.
//!
//! sqlx makes them and counts them. It would ask each one whether it is still there before it takes
//! it back, and again before it lends it, so it does not get them back: they rest here.

use super::{ACQUIRE_TIMEOUT, ANSWER_WITHIN, ASK_AFTER};
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, pool::PoolConnection};
use std::{
    collections::VecDeque,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{timeout, timeout_at},
};

/// A connection that rests for longer is one too many.
const RESTS_MAX: Duration = Duration::from_secs(10 * 60);
/// One that is older makes way for a new one: what PostgreSQL keeps for each only grows.
const LIVES_MAX: Duration = Duration::from_secs(30 * 60);

/// The connections of one pool that nobody uses.
#[derive(Debug)]
pub(super) struct Rest {
    pool: AnyPool,
    /// As many as there may be connections; who has one may have a connection.
    places: Arc<Semaphore>,
    /// The one used last is the last.
    connections: Mutex<VecDeque<AtRest>>,
}

/// A connection, since when it is there, and since when it rests.
#[derive(Debug)]
pub(super) struct AtRest {
    connection: PoolConnection<Any>,
    made: Instant,
    since: Instant,
}

/// The right to have a connection.
#[derive(Debug)]
pub(super) struct Place {
    rest: Arc<Rest>,
    _permit: OwnedSemaphorePermit,
}

impl Rest {
    pub(super) fn new(pool: AnyPool, places: u32) -> Self {
        let places = usize::try_from(places).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            pool,
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            connections: Mutex::default(),
        }
    }

    /// A connection that rests, or a new one.
    pub(super) async fn lend(self: &Arc<Self>) -> sqlx::Result<(AtRest, Place)> {
        let until = tokio::time::Instant::now() + ACQUIRE_TIMEOUT;
        let lending = timeout_at(until, async {
            let permit = Arc::clone(&self.places).acquire_owned().await;
            let place = Place {
                rest: Arc::clone(self),
                _permit: permit.map_err(|_| sqlx::Error::PoolClosed)?,
            };
            let connection = self.connection().await?;
            Ok((connection, place))
        });
        lending.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    async fn connection(&self) -> sqlx::Result<AtRest> {
        while let Some(mut rested) = self.take() {
            // One in steady use shows by its statements whether it is still there.
            if rested.since.elapsed() < ASK_AFTER {
                return Ok(rested);
            }
            match timeout(ANSWER_WITHIN, rested.ping()).await {
                Ok(Ok(())) => return Ok(rested),
                Ok(Err(_)) => rested.close(),
                Err(_) => {
                    // The others have rested for longer.
                    rested.close();
                    self.close_all();
                }
            }
        }
        let connection = self.pool.acquire().await?;
        let now = Instant::now();
        Ok(AtRest {
            connection,
            made: now,
            since: now,
        })
    }

    fn take(&self) -> Option<AtRest> {
        self.lock().pop_back()
    }

    /// Closes all that rest.
    pub(super) fn close_all(&self) {
        let all = std::mem::take(&mut *self.lock());
        all.into_iter().for_each(AtRest::close);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<AtRest>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Closes all that rest.
    pub(super) fn close_others(&self) {
        self.rest.close_all();
    }

    /// Lets a connection rest, of which nothing is under way, and gives up the place.
    pub(super) fn give_back(self, mut connection: AtRest) {
        if connection.made.elapsed() > LIVES_MAX {
            return connection.close();
        }
        connection.since = Instant::now();
        let mut connections = self.rest.lock();
        connections.push_back(connection);
        let too_many = connections
            .front()
            .is_some_and(|first| first.since.elapsed() > RESTS_MAX);
        let first = too_many.then(|| connections.pop_front()).flatten();
        drop(connections);
        if let Some(first) = first {
            first.close();
        }
        // Asked last: who closes the pool closes what rests before or after that.
        if self.rest.pool.is_closed() {
            self.rest.close_all();
        }
    }
}

impl AtRest {
    /// Closes it at once: not begun, sqlx's way to give it back closes it and frees its place,
    /// while its way to close waits for the other end.
    pub(super) fn close(mut self) {
        drop(self.connection.return_to_pool());
    }
}

impl Deref for AtRest {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.connection
    }
}

impl DerefMut for AtRest {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}
