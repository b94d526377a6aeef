//! A handler's transaction, done once for each request.

use super::{Entered, Inbox, Request};
use crate::{
    InboxError,
    database::{Backend, Dialect, begin_writing},
};
use replybus::Context;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Connection as _, Pool, pool::PoolConnection};

impl Inbox {
    /// Does a request in a transaction of its own, or gives the reply that it got before.
    ///
    /// What `work` returns as `Ok` is kept and committed with all that it wrote, and is the answer from
    /// then on. An error that is to be remembered is a value, too: `Ok(Err(..))`. What it returns as
    /// `Err` undoes all of it, and is forgotten: the request can be made again, and a key that the bus
    /// has claimed for it is [released](Context::release_key).
    ///
    /// # Errors
    /// Those of `work`; [`InboxError`]s, among them that the key is that of another request. Of a
    /// transaction that was lost while it committed it is not known whether it did: whoever asks again
    /// under the same key is told.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, all of it is done or nothing. In the handler of a command nothing
    /// drops it.
    pub async fn once<D, T, E>(
        &self,
        pool: &Pool<D>,
        request: &Request,
        work: impl AsyncFnOnce(&mut D::Connection) -> Result<T, E>,
    ) -> Result<T, E>
    where
        D: Backend,
        T: Serialize + DeserializeOwned,
        E: From<InboxError>,
    {
        let done = self.transact(pool, request, work).await;
        if done.is_err() {
            Context::current().release_key();
        }
        done
    }

    async fn transact<D, T, E>(
        &self,
        pool: &Pool<D>,
        request: &Request,
        work: impl AsyncFnOnce(&mut D::Connection) -> Result<T, E>,
    ) -> Result<T, E>
    where
        D: Backend,
        T: Serialize + DeserializeOwned,
        E: From<InboxError>,
    {
        let database = |error: sqlx::Error| E::from(InboxError::from(error));
        let connection = pool.acquire().await.map_err(database)?;
        let dialect = D::dialect(&connection).map_err(database)?;
        let mut lent = Lent {
            connection,
            closes: dialect == Dialect::Postgres,
        };
        let done = transact_on::<D, T, E>(&mut lent.connection, dialect, self, request, work).await;
        lent.closes = false;
        done
    }
}

/// A connection that is closed if it is dropped in the middle of something. Given back it would take
/// along what is under way, such as a transaction that the server has begun and sqlx has not heard of,
/// in which others would then write.
struct Lent<D: Backend> {
    connection: PoolConnection<D>,
    closes: bool,
}

impl<D: Backend> Drop for Lent<D> {
    fn drop(&mut self) {
        if self.closes {
            self.connection.close_on_drop();
        }
    }
}

async fn transact_on<D, T, E>(
    connection: &mut D::Connection,
    dialect: Dialect,
    inbox: &Inbox,
    request: &Request,
    work: impl AsyncFnOnce(&mut D::Connection) -> Result<T, E>,
) -> Result<T, E>
where
    D: Backend,
    T: Serialize + DeserializeOwned,
    E: From<InboxError>,
{
    let database = |error: sqlx::Error| E::from(InboxError::from(error));
    let began = match dialect {
        Dialect::Postgres => connection.begin().await,
        Dialect::Sqlite => connection.begin_with(begin_writing()).await,
    };
    let mut transaction = began.map_err(database)?;
    let place = match inbox.enter(&mut *transaction, request).await {
        Ok(Entered::New(place)) => place,
        Ok(Entered::Done(kept)) => {
            transaction.rollback().await.map_err(database)?;
            return Ok(kept.reply()?);
        }
        Err(error) => {
            undo(transaction).await;
            return Err(error.into());
        }
    };
    let reply = match work(&mut *transaction).await {
        Ok(reply) => reply,
        Err(error) => {
            undo(transaction).await;
            return Err(error);
        }
    };
    place.keep(&mut *transaction, &reply).await?;
    transaction.commit().await.map_err(database)?;
    Ok(reply)
}

/// Undoes a transaction at once, rather than when its connection is used again.
async fn undo<D: Backend>(transaction: sqlx::Transaction<'_, D>) {
    if let Err(error) = transaction.rollback().await {
        tracing::debug!(%error, "a transaction was not undone, it ends with its connection");
    }
}
