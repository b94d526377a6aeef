//! One set of queries on both kinds of databases.

use crate::migrations;
use chassis::{
    Database,
    database::{Transaction, is_transient},
    settings::PlatformSettings,
};
use sqlx::Row;
use town::database::on_postgres;
use uuid::Uuid;

async fn open(url: &str) -> Database {
    // Twice: the second time there is nothing left to do.
    for _ in 0..2 {
        let opened = Database::open(
            &PlatformSettings::with_database(url),
            "notes",
            &migrations(),
        )
        .await;
        opened.unwrap().close().await;
    }
    Database::open(
        &PlatformSettings::with_database(url),
        "notes",
        &migrations(),
    )
    .await
    .unwrap()
}

/// What the queries of the services are made of.
async fn obeys_the_dialect(database: &Database) {
    database.transaction(write).await.unwrap();
    let locking = |locking| lock(locking, database.for_update());
    database.transaction(locking).await.unwrap();

    let sum = "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT), COUNT(*) FROM notes";
    let sum: (i64, i64) = sqlx::query_as(sum)
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(sum, (3, 2), "what was rolled back did not happen");

    let overdrawn = sqlx::query("UPDATE notes SET amount = amount - 5").execute(database.pool());
    let refused = overdrawn.await.unwrap_err();
    assert!(refused.as_database_error().unwrap().is_check_violation());
    assert!(!is_transient(&refused));
    assert!(database.is_up().await);
}

async fn write(mut writing: Transaction) -> sqlx::Result<()> {
    for (id, amount, remark) in [("a", 1_i64, None), ("b", 2, Some("two"))] {
        let insert = "INSERT INTO notes (id, amount, remark) VALUES ($1, $2, $3)
            ON CONFLICT (id) DO NOTHING";
        for inserted in [1, 0] {
            let done = sqlx::query(insert).bind(id).bind(amount).bind(remark);
            let done = done.execute(&mut *writing).await?;
            assert_eq!(done.rows_affected(), inserted);
        }
    }
    writing.commit().await
}

async fn lock(mut locking: Transaction, for_update: &str) -> sqlx::Result<()> {
    let select = "SELECT id, amount, seen, remark FROM notes WHERE id IN ($1, $2) ORDER BY id";
    let select = sqlx::AssertSqlSafe(format!("{select}{for_update}"));
    let rows = sqlx::query(select)
        .bind("b")
        .bind("a")
        .fetch_all(&mut *locking)
        .await?;
    let read: Vec<(String, i64, i64, Option<String>)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect();
    assert_eq!(
        read,
        [
            ("a".to_owned(), 1, 0, None),
            ("b".to_owned(), 2, 0, Some("two".to_owned()))
        ]
    );
    let taken = "UPDATE notes SET amount = amount - 2 WHERE id = $1 RETURNING amount";
    let taken: (i64,) = sqlx::query_as(taken)
        .bind("b")
        .fetch_one(&mut *locking)
        .await?;
    assert_eq!(taken.0, 0);
    locking.rollback().await
}

#[tokio::test]
async fn in_memory() {
    // Each one is another: a database in memory belongs to who opened it.
    obeys_the_dialect(&open("sqlite::memory:").await).await;
}

#[tokio::test]
async fn in_a_file_that_is_still_there_afterwards() {
    // Not every directory is a good part of an address.
    let directory = format!("Bank %41 #1 ? {}", Uuid::new_v4());
    let directory = std::env::temp_dir().join(directory);
    let url = format!("sqlite:{}", directory.display());
    let first = open(&url).await;
    obeys_the_dialect(&first).await;
    first.close().await;
    let again = open(&url).await;
    let count = sqlx::query("SELECT COUNT(*) FROM notes")
        .fetch_one(again.pool())
        .await
        .unwrap();
    assert_eq!(count.get::<i64, _>(0), 2);
    again.close().await;
    assert!(directory.join("notes.db").exists());
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn in_postgres() {
    on_postgres(async |url| {
        let database = open(url).await;
        obeys_the_dialect(&database).await;
        let schema = "SELECT CAST(current_schema() AS TEXT), current_setting('lock_timeout')";
        let schema: (String, String) = sqlx::query_as(schema)
            .fetch_one(database.pool())
            .await
            .unwrap();
        assert_eq!(schema, ("notes".to_owned(), "3s".to_owned()));
        database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_database_that_will_never_be_there_is_not_waited_for() {
    let Some(server) = replybus_testkit::live::postgres().await else {
        return;
    };
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&format!("no_{}", Uuid::new_v4().simple()));
    let (settings, migrations) = (PlatformSettings::with_database(url.as_str()), migrations());
    let opening = Database::open(&settings, "notes", &migrations);
    // The minute that one is waited for which is still to come has not passed.
    let opened = tokio::time::timeout(std::time::Duration::from_secs(40), opening).await;
    let refused = format!("{:#}", opened.unwrap().unwrap_err());
    assert!(refused.contains("does not exist"), "{refused}");
}
