//! The disk of PostgreSQL is full, and then there is room again.

use crate::stage::{Stage, happened, next, on_a_server_of_its_own};
use futures_util::{StreamExt as _, stream};
use replybus::event::Listener;
use replybus_sql::{InboxError, Request};
use replybus_testkit::{servers::PrivatePostgres, wait};
use sqlx::Postgres;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// A row with this fills most of a page, and stays where it is.
const FILLER: &str = "repeat('x', 7000)";
const AT_ONCE: usize = 16;

/// Of each number that was told, the ids under which it was.
type Told = Arc<Mutex<HashMap<String, HashSet<String>>>>;

async fn listen(mut listener: Listener, told: Told) {
    loop {
        let (what, id) = next(&mut listener).await;
        told.lock().unwrap().entry(what).or_default().insert(id);
    }
}

async fn are_told(told: &Told, numbers: i64) {
    wait::eventually("what was entered is told, and no more", || async {
        i64::try_from(told.lock().unwrap().len()).unwrap() == numbers
    })
    .await;
}

/// Enters a number, and tells of it.
async fn enter(stage: &Stage<Postgres>, number: i64) -> Result<i64, InboxError> {
    let request = Request::new("enter", &number.to_string(), &()).unwrap();
    let insert = format!("INSERT INTO entries VALUES ({number}, {FILLER})");
    let entering = async |transaction: &mut sqlx::PgConnection| {
        let insert = sqlx::query(sqlx::AssertSqlSafe(insert));
        insert.execute(&mut *transaction).await?;
        let event = happened(number);
        let put = stage.outbox.put(&mut *transaction, &event);
        put.await.map_err(sqlx::Error::from)?;
        Ok::<_, InboxError>(-number)
    };
    stage.inbox.once(&stage.pool, &request, entering).await
}

/// Enters many at once, and gives out those that were not, with what their callers were told.
async fn enter_all(
    stage: &Stage<Postgres>,
    numbers: std::ops::Range<i64>,
) -> HashMap<i64, InboxError> {
    let entered = numbers.map(|number| async move { (number, enter(stage, number).await) });
    let entered = stream::iter(entered).buffer_unordered(AT_ONCE);
    let failed = entered.filter_map(async |(number, entered)| match entered {
        Ok(answer) => {
            assert_eq!(answer, -number);
            None
        }
        Err(error) => Some((number, error)),
    });
    failed.collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_has_nothing_done_in_part_and_nothing_forgotten() {
    const NUMBERS: i64 = 200;
    let test = async |stage: Stage<Postgres>, postgres: &mut PrivatePostgres| {
        for statement in [
            "CREATE TABLE entries (number BIGINT, filler TEXT)",
            // Not compressed.
            "ALTER TABLE entries ALTER filler SET STORAGE PLAIN",
        ] {
            stage.execute(statement).await;
        }
        let told = Told::default();
        let listening = tokio::spawn(listen(stage.listener().await, told.clone()));
        let stop = CancellationToken::new();
        let relaying = tokio::spawn(stage.relay().run_until(stop.clone().cancelled_owned()));

        postgres.fill_disk_of_tables().await.unwrap();
        let failed = enter_all(&stage, 0..NUMBERS).await;
        let done = NUMBERS - i64::try_from(failed.len()).unwrap();
        assert!((1..NUMBERS).contains(&done));
        for error in failed.values() {
            let InboxError::Database(sqlx::Error::Database(error)) = error else {
                panic!("{error:?}");
            };
            // A page that fits in part is told as a full disk, one that does not at all as too large.
            let told = error.message();
            assert!(told.starts_with("could not extend file"), "{error:?}");
        }
        for table in ["entries", "inbox"] {
            let count = format!("SELECT COUNT(*) FROM {table}");
            assert_eq!(stage.number(&count).await, done, "{table}");
        }
        stage.is_empty().await;
        are_told(&told, done).await;
        postgres.free_disk().await.unwrap();
        assert!(enter_all(&stage, 0..NUMBERS).await.is_empty());

        // There is none for the log, either: PostgreSQL ends, and comes back with what it had.
        postgres.fill_disk(1).await.unwrap();
        let comes_back = wait::bounded(async {
            while postgres.is_running() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            postgres.restart().await.unwrap();
        });
        let (failed, ()) = tokio::join!(enter_all(&stage, 0..2 * NUMBERS), comes_back);
        assert!(!failed.is_empty());
        wait::until("all are entered", || async {
            let failed = enter_all(&stage, 0..2 * NUMBERS).await;
            failed.is_empty().then_some(()).ok_or(failed)
        })
        .await;
        let entered = stage.number("SELECT COUNT(*) FROM entries").await;
        assert_eq!(entered, 2 * NUMBERS);
        are_told(&told, entered).await;
        stage.is_empty().await;
        let told = told.lock().unwrap().clone();
        assert!(told.values().all(|ids| ids.len() == 1), "{told:?}");
        stop.cancel();
        wait::bounded(relaying).await.unwrap();
        listening.abort();
    };
    on_a_server_of_its_own(test).await;
}
