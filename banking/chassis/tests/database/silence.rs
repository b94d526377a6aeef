//! A PostgreSQL that falls silent, and work that is dropped.

use crate::migrations;
use chassis::{
    Database,
    database::{Transaction, is_transient},
    settings::PlatformSettings,
};
use futures_util::{FutureExt as _, future::join_all};
use replybus_testkit::proxy::{Mode, Proxy};
use sqlx::{Connection, PgConnection};
use std::{future::Future, time::Duration};
use tokio::{sync::Barrier, time::timeout};
use town::database::on_postgres;

/// TCP would wait for a quarter of an hour.
const SOON: Duration = Duration::from_secs(240);
const CONNECTIONS: usize = 2;

/// PostgreSQL behind a proxy, and its own address.
struct Distant {
    proxy: Proxy,
    database: Database,
    url: String,
}

impl Distant {
    async fn open(url: &str) -> Self {
        let (proxy, through) = Proxy::before(url, 5432).await.unwrap();
        let mut settings = PlatformSettings::with_database(through.as_str());
        settings.database_connections = u32::try_from(CONNECTIONS).unwrap();
        let database = Database::open(&settings, "notes", &migrations()).await;
        let distant = Self {
            proxy,
            database: database.unwrap(),
            url: url.to_owned(),
        };
        // All connections are there, and in steady use.
        for answer in distant.answers().await {
            answer.unwrap();
        }
        distant
    }

    /// What comes of as many statements at once as there are connections.
    async fn answers(&self) -> Vec<sqlx::Result<()>> {
        self.answers_to("SELECT CAST(pg_sleep(0.3) AS TEXT)").await
    }

    async fn answers_to(&self, statement: &'static str) -> Vec<sqlx::Result<()>> {
        let answers = (0..CONNECTIONS).map(|_| async {
            let slow = sqlx::query(statement);
            slow.execute(self.database.pool()).await.map(drop)
        });
        timeout(SOON, join_all(answers)).await.unwrap()
    }

    /// What comes of statements in whose middle all connections fall silent.
    async fn answers_that_do_not_come(&self) -> Vec<sqlx::Result<()>> {
        // Each waits for a lock that somebody else has.
        let mut other = PgConnection::connect(&self.url).await.unwrap();
        let lock = sqlx::query("SELECT pg_advisory_lock(1)");
        lock.execute(&mut other).await.unwrap();
        let silence = async {
            let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                AND datname = current_database()";
            let all = i64::try_from(CONNECTIONS).unwrap();
            while (all,) != sqlx::query_as(waiting).fetch_one(&mut other).await.unwrap() {}
            self.proxy.set(Mode::SwallowOld);
        };
        let statements = self.answers_to("SELECT CAST(pg_advisory_lock(1) AS TEXT)");
        let (answers, ()) = tokio::join!(statements, timeout(SOON, silence).map(Result::unwrap));
        answers
    }

    /// Fails unless every place in the pool has a connection that works.
    async fn is_whole(&self) {
        for _ in 0..3 {
            for answer in self.answers().await {
                answer.unwrap();
            }
        }
    }

    /// The notes that everybody sees.
    async fn notes(&self) -> i64 {
        let mut other = PgConnection::connect(&self.url).await.unwrap();
        let count = sqlx::query_as("SELECT COUNT(*) FROM notes.notes");
        let (count,): (i64,) = count.fetch_one(&mut other).await.unwrap();
        count
    }
}

async fn insert(writing: &mut Transaction, id: &str) -> sqlx::Result<()> {
    let insert = sqlx::query("INSERT INTO notes (id, amount) VALUES ($1, 1)").bind(id);
    insert.execute(&mut **writing).await.map(drop)
}

/// Waits for what ends although nobody answers.
async fn ends<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(SOON, work).await.unwrap()
}

#[tokio::test]
async fn a_statement_on_a_connection_that_fell_silent_ends() {
    on_postgres(async |url| {
        let distant = Distant::open(url).await;
        for answer in distant.answers_that_do_not_come().await {
            assert!(answer.is_err_and(|error| is_transient(&error)));
        }
        distant.is_whole().await;
    })
    .await;
}

#[tokio::test]
async fn a_transaction_on_a_connection_that_fell_silent_ends_and_did_nothing() {
    on_postgres(async |url| {
        let distant = Distant::open(url).await;
        let work = |mut writing| async {
            insert(&mut writing, "a").await?;
            distant.proxy.set(Mode::SwallowOld);
            insert(&mut writing, "b").await?;
            writing.commit().await
        };
        let ended = ends(distant.database.transaction(work)).await;
        assert!(ended.is_err_and(|error| is_transient(&error)));
        // Of the other connection nobody knows yet.
        distant.answers().await;
        distant.is_whole().await;
        assert_eq!(distant.notes().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_is_given_up_keeps_no_place_though_nobody_answers() {
    on_postgres(async |url| {
        let distant = &Distant::open(url).await;
        let all_wrote = &Barrier::new(CONNECTIONS);
        let given_up = (0..CONNECTIONS).map(|number| {
            let work = async move |mut writing| {
                insert(&mut writing, &number.to_string()).await?;
                all_wrote.wait().await;
                distant.proxy.set(Mode::SwallowOld);
                Err::<(), _>(sqlx::Error::RowNotFound)
            };
            ends(distant.database.transaction(work))
        });
        for ended in join_all(given_up).await {
            assert!(matches!(ended, Err(sqlx::Error::RowNotFound)), "{ended:?}");
        }
        distant.is_whole().await;
        assert_eq!(distant.notes().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_falls_silent_while_it_is_given_back_keeps_no_place() {
    on_postgres(async |url| {
        let distant = Distant::open(url).await;
        distant.proxy.set(Mode::Latency(Duration::from_millis(100)));
        for answer in distant.answers().await {
            answer.unwrap();
        }
        // Each is asked whether it is still there, and the answer is under way.
        distant.proxy.set(Mode::SwallowOld);
        // One that was back already is noticed when it is used.
        distant.answers().await;
        distant.is_whole().await;
    })
    .await;
}

#[tokio::test]
async fn of_idle_connections_that_fell_silent_one_costs_an_attempt() {
    on_postgres(async |url| {
        let distant = Distant::open(url).await;
        distant.proxy.set(Mode::SwallowOld);
        // Longer than a connection counts as in use.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let first = ends(sqlx::query("SELECT 1").execute(distant.database.pool())).await;
        assert!(first.is_ok() || first.is_err_and(|error| is_transient(&error)));
        distant.is_whole().await;
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_is_dropped_takes_no_others_work_along() {
    on_postgres(async |url| {
        let distant = Distant::open(url).await;
        distant.proxy.set(Mode::Latency(Duration::from_millis(10)));
        for (kept, after) in (1..).zip((0..100).step_by(5)) {
            let work = async |mut writing| {
                insert(&mut writing, "never").await?;
                std::future::pending::<sqlx::Result<()>>().await
            };
            let dropped = distant.database.transaction(work);
            let dropped = timeout(Duration::from_millis(after), dropped).await;
            assert!(dropped.is_err(), "{dropped:?}");
            for _ in 0..CONNECTIONS {
                let id = uuid::Uuid::new_v4().to_string();
                let insert = sqlx::query("INSERT INTO notes (id, amount) VALUES ($1, 1)").bind(id);
                insert.execute(distant.database.pool()).await.unwrap();
            }
            let all = i64::try_from(CONNECTIONS).unwrap() * kept;
            assert_eq!(distant.notes().await, all, "dropped after {after} ms");
        }
    })
    .await;
}
