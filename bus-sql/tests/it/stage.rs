//! A database of a test's own, by the driver that it is for.

use futures_util::{FutureExt as _, future::BoxFuture};
use replybus::{Bus, Event, event::Listener};
use replybus_sql::{Backend, Connections, Inbox, Outbox, Relay};
use replybus_testkit::{live, servers::PrivatePostgres, wait};
use serde::{Deserialize, Serialize};
use sqlx::{
    AnyPool, AssertSqlSafe, Connection as _, PgConnection, PgPool, Pool, SqlitePool,
    any::AnyPoolOptions, postgres::PgPoolOptions, sqlite::SqlitePoolOptions,
};
use std::{
    future::Future,
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    time::Duration,
};
use uuid::Uuid;

/// Connections of a test: enough for its replicas, and few enough for the tests beside it.
const CONNECTIONS: u32 = 6;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event("thing.happened", exchange = "test.things")]
pub(crate) struct Happened {
    pub(crate) what: String,
}

pub(crate) fn happened(what: impl ToString) -> Happened {
    Happened {
        what: what.to_string(),
    }
}

/// A driver that tests look through.
pub(crate) trait Driver: Backend {
    fn number<'a>(pool: &'a Pool<Self>, sql: &str) -> BoxFuture<'a, i64>;
    fn run<'a>(pool: &'a Pool<Self>, sql: &str) -> BoxFuture<'a, ()>;
    fn within<'a>(connection: &'a mut Self::Connection, sql: &str) -> BoxFuture<'a, ()>;
    fn connections(pool: &Pool<Self>) -> Connections;
}

macro_rules! driver {
    ($($driver:ty),+) => {$(
        impl Driver for $driver {
            fn number<'a>(pool: &'a Pool<Self>, sql: &str) -> BoxFuture<'a, i64> {
                let query = sqlx::query_as(AssertSqlSafe(sql.to_owned()));
                async move {
                    let (number,): (i64,) = query.fetch_one(pool).await.unwrap();
                    number
                }
                .boxed()
            }

            fn run<'a>(pool: &'a Pool<Self>, sql: &str) -> BoxFuture<'a, ()> {
                let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
                async move { query.execute(pool).await.map(drop).unwrap() }.boxed()
            }

            fn within<'a>(connection: &'a mut Self::Connection, sql: &str) -> BoxFuture<'a, ()> {
                let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
                async move { query.execute(connection).await.map(drop).unwrap() }.boxed()
            }

            fn connections(pool: &Pool<Self>) -> Connections {
                pool.clone().into()
            }
        }
    )+};
}
driver!(sqlx::Postgres, sqlx::Sqlite, sqlx::Any);

/// A database with both tables.
pub(crate) struct Stage<D: Driver> {
    pub(crate) pool: Pool<D>,
    pub(crate) bus: Bus,
    pub(crate) outbox: Outbox,
    pub(crate) inbox: Inbox,
}

impl<D: Driver> Clone for Stage<D> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            bus: self.bus.clone(),
            outbox: self.outbox.clone(),
            inbox: self.inbox.clone(),
        }
    }
}

impl<D: Driver> Stage<D> {
    async fn new(pool: Pool<D>) -> Self {
        let stage = Self {
            pool,
            bus: Bus::in_memory(),
            outbox: Outbox::new(),
            inbox: Inbox::new(),
        };
        let mut connection = stage.pool.acquire().await.unwrap();
        stage.outbox.install().run(&mut *connection).await.unwrap();
        stage.inbox.install().run(&mut *connection).await.unwrap();
        stage
    }

    /// A relay that looks for new events all the time.
    pub(crate) fn relay(&self) -> Relay {
        let relay = Relay::new(&self.bus, &self.outbox, D::connections(&self.pool));
        relay.look_every(Duration::from_millis(5))
    }

    /// Brings away what is there.
    pub(crate) async fn drained(&self) {
        self.relay().run_until(std::future::ready(())).await;
    }

    pub(crate) async fn put(&self, what: impl ToString) {
        let mut connection = self.pool.acquire().await.unwrap();
        let event = happened(what);
        let put = self.outbox.put(&mut *connection, &event);
        put.await.unwrap();
    }

    pub(crate) async fn listener(&self) -> Listener {
        self.bus.listen("test.things", "#").await.unwrap()
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        D::number(&self.pool, sql).await
    }

    pub(crate) async fn execute(&self, sql: &str) {
        D::run(&self.pool, sql).await;
    }

    pub(crate) async fn left(&self) -> i64 {
        self.number("SELECT COUNT(*) FROM outbox").await
    }

    /// Waits until the broker has all events, and the table knows.
    pub(crate) async fn is_empty(&self) {
        wait::eventually("the outbox is empty", || async { self.left().await == 0 }).await;
    }
}

/// What is heard next: which event, and under which id.
pub(crate) async fn next(listener: &mut Listener) -> (String, String) {
    let heard = wait::soon("an event is heard", listener.next());
    let heard = heard.await.unwrap();
    assert_eq!(heard.missed, 0);
    let event: Happened = heard.body().unwrap();
    (event.what, heard.id().unwrap().to_owned())
}

/// An address, and what is to be removed afterwards.
struct Place {
    url: String,
    remove: Remove,
}

enum Remove {
    File(PathBuf),
    Schema { server: String, schema: String },
}

impl Place {
    fn sqlite() -> Self {
        let path =
            std::env::temp_dir().join(format!("replybus-sql-{}.db", Uuid::new_v4().simple()));
        Self {
            url: format!("sqlite://{}?mode=rwc", path.display()),
            remove: Remove::File(path),
        }
    }

    /// `None` if there is no server, and it may be missing.
    async fn postgres() -> Option<Self> {
        let server = live::postgres().await?;
        let schema = format!("test_{}", Uuid::new_v4().simple());
        on_server(&server, format!("CREATE SCHEMA {schema}")).await;
        let joined = if server.contains('?') { '&' } else { '?' };
        Some(Self {
            url: format!("{server}{joined}options[search_path]={schema}"),
            remove: Remove::Schema { server, schema },
        })
    }

    async fn removed(self) {
        match self.remove {
            Remove::File(path) => {
                for end in ["", "-wal", "-shm"] {
                    // Whatever there is of it.
                    let _ = std::fs::remove_file(format!("{}{end}", path.display()));
                }
            }
            Remove::Schema { server, schema } => {
                on_server(&server, format!("DROP SCHEMA {schema} CASCADE")).await;
            }
        }
    }
}

async fn on_server(server: &str, statement: String) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    // It is made of constants and a UUID.
    let executed = sqlx::query(AssertSqlSafe(statement));
    executed.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn run<D: Driver, F: Future<Output = ()>>(
    place: Place,
    pool: Pool<D>,
    test: impl FnOnce(Stage<D>) -> F,
) {
    let tested = async { test(Stage::new(pool.clone()).await).await };
    let tested = AssertUnwindSafe(tested).catch_unwind().await;
    pool.close().await;
    place.removed().await;
    tested.unwrap_or_else(|panic| resume_unwind(panic));
}

pub(crate) async fn on_postgres<F: Future<Output = ()>>(
    test: impl FnOnce(Stage<sqlx::Postgres>) -> F,
) {
    if let Some(place) = Place::postgres().await {
        let options = PgPoolOptions::new().max_connections(CONNECTIONS);
        let pool: PgPool = options.connect(&place.url).await.unwrap();
        run(place, pool, test).await;
    }
}

/// Runs a test on a server that it may do anything with.
pub(crate) async fn on_a_server_of_its_own(
    test: impl AsyncFnOnce(Stage<sqlx::Postgres>, &mut PrivatePostgres),
) {
    let Some(mut postgres) = live::require_or_skip(PrivatePostgres::start().await) else {
        return;
    };
    // It answers before it lets anybody in.
    let pool = wait::until("PostgreSQL takes connections", || {
        let options = PgPoolOptions::new().max_connections(CONNECTIONS);
        let url = postgres.url();
        async move { options.connect(&url).await }
    });
    test(Stage::new(pool.await).await, &mut postgres).await;
}

pub(crate) async fn on_sqlite<F: Future<Output = ()>>(test: impl FnOnce(Stage<sqlx::Sqlite>) -> F) {
    let place = Place::sqlite();
    let options = SqlitePoolOptions::new().max_connections(CONNECTIONS);
    let pool: SqlitePool = options.connect(&place.url).await.unwrap();
    sqlx::query("PRAGMA journal_mode = WAL")
        .execute(&pool)
        .await
        .unwrap();
    run(place, pool, test).await;
}

pub(crate) async fn on_any_postgres<F: Future<Output = ()>>(
    test: impl FnOnce(Stage<sqlx::Any>) -> F,
) {
    if let Some(place) = Place::postgres().await {
        let pool = any(&place.url, CONNECTIONS).await;
        run(place, pool, test).await;
    }
}

pub(crate) async fn on_any_sqlite<F: Future<Output = ()>>(
    test: impl FnOnce(Stage<sqlx::Any>) -> F,
) {
    let place = Place::sqlite();
    let pool = any(&place.url, 1).await;
    run(place, pool, test).await;
}

async fn any(url: &str, connections: u32) -> AnyPool {
    sqlx::any::install_default_drivers();
    let options = AnyPoolOptions::new().max_connections(connections);
    options.connect(url).await.unwrap()
}

/// Tests, each on every database by every driver.
macro_rules! on_each_database {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                crate::stage::on_postgres(super::$test).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                crate::stage::on_sqlite(super::$test).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn any_postgres() {
                crate::stage::on_any_postgres(super::$test).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn any_sqlite() {
                crate::stage::on_any_sqlite(super::$test).await;
            }
        }
    )+};
}
