//! Statements that stand alone, on connections that are lent for one each.

use super::{
    Dialect,
    backend::{Backend, Cells, Kind, Value},
};
use futures_util::future::BoxFuture;
use sqlx::Executor;
use std::{fmt, marker::PhantomData, sync::Arc};

/// Where statements are executed that are no part of a transaction of yours: a pool of sqlx's, or
/// another executor of that kind.
///
/// ```
/// use replybus_sql::Connections;
/// use sqlx::sqlite::SqlitePoolOptions;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SqlitePoolOptions::new().connect("sqlite::memory:").await?;
/// let connections = Connections::from(pool);
/// # let _ = connections;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connections {
    dialect: Dialect,
    lends: Arc<dyn Lends>,
}

trait Lends: Send + Sync {
    fn execute(&self, sql: Arc<str>, values: Vec<Value>) -> BoxFuture<'_, sqlx::Result<u64>>;

    fn fetch(
        &self,
        sql: Arc<str>,
        values: Vec<Value>,
        kinds: &'static [Kind],
    ) -> BoxFuture<'_, sqlx::Result<Vec<Cells>>>;
}

struct Over<D, X> {
    executor: X,
    driver: PhantomData<fn() -> D>,
}

impl Connections {
    /// Those of an executor whose references are executors of sqlx: one that bounds the time of a
    /// statement, say. `dialect` is what the database behind it understands. Of a pool there is
    /// [`From`].
    pub fn over<D, X>(dialect: Dialect, executor: X) -> Self
    where
        D: Backend,
        X: Send + Sync + 'static,
        for<'c> &'c X: Executor<'c, Database = D>,
    {
        Self {
            dialect,
            lends: Arc::new(Over {
                executor,
                driver: PhantomData,
            }),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Returns how many rows were affected.
    pub(crate) async fn execute(&self, sql: &Arc<str>, values: Vec<Value>) -> sqlx::Result<u64> {
        self.lends.execute(Arc::clone(sql), values).await
    }

    pub(crate) async fn fetch(
        &self,
        sql: &Arc<str>,
        values: Vec<Value>,
        kinds: &'static [Kind],
    ) -> sqlx::Result<Vec<Cells>> {
        self.lends.fetch(Arc::clone(sql), values, kinds).await
    }
}

impl<D, X> Lends for Over<D, X>
where
    D: Backend,
    X: Send + Sync,
    for<'c> &'c X: Executor<'c, Database = D>,
{
    fn execute(&self, sql: Arc<str>, values: Vec<Value>) -> BoxFuture<'_, sqlx::Result<u64>> {
        let executing = self.executor.execute(D::query(&sql, values));
        Box::pin(async move { Ok(D::affected(&executing.await?)) })
    }

    fn fetch(
        &self,
        sql: Arc<str>,
        values: Vec<Value>,
        kinds: &'static [Kind],
    ) -> BoxFuture<'_, sqlx::Result<Vec<Cells>>> {
        let fetching = self.executor.fetch_all(D::query(&sql, values));
        Box::pin(async move {
            let rows = fetching.await?;
            rows.iter().map(|row| D::read(row, kinds)).collect()
        })
    }
}

#[cfg(feature = "postgres")]
impl From<sqlx::PgPool> for Connections {
    fn from(pool: sqlx::PgPool) -> Self {
        Self::over(Dialect::Postgres, pool)
    }
}

#[cfg(feature = "sqlite")]
impl From<sqlx::SqlitePool> for Connections {
    fn from(pool: sqlx::SqlitePool) -> Self {
        Self::over(Dialect::Sqlite, pool)
    }
}

/// Of an address that begins with `sqlite:`, or else of PostgreSQL.
#[cfg(feature = "any")]
impl From<sqlx::AnyPool> for Connections {
    fn from(pool: sqlx::AnyPool) -> Self {
        let dialect = match pool.connect_options().database_url.scheme() {
            "sqlite" => Dialect::Sqlite,
            _ => Dialect::Postgres,
        };
        Self::over(dialect, pool)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}
