//! How tables come about.

use crate::stage::{Driver, Stage, happened};
use futures_util::future::join_all;
use replybus_sql::{Dialect, Inbox, Outbox};
use sqlx::Connection as _;

on_each_database! {
    many_may_install_at_once_and_again,
}

async fn many_may_install_at_once_and_again<D: Driver>(stage: Stage<D>) {
    let outbox = Outbox::named("told_of").unwrap();
    let inbox = Inbox::named("asked_for").unwrap();
    let installs = (0..6).map(|_| async {
        let mut connection = stage.pool.acquire().await.unwrap();
        outbox.install().run(&mut *connection).await.unwrap();
        inbox.install().run(&mut *connection).await.unwrap();
    });
    join_all(installs).await;
    let mut connection = stage.pool.acquire().await.unwrap();
    outbox
        .put(&mut *connection, &happened("there"))
        .await
        .unwrap();
    drop(connection);
    assert_eq!(stage.number("SELECT COUNT(*) FROM told_of").await, 1);
    assert_eq!(stage.left().await, 0, "another table");
}

#[tokio::test]
async fn the_statements_are_all_that_a_migration_needs() {
    let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:")
        .await
        .unwrap();
    for _ in 0..2 {
        for sql in [
            replybus_sql::schema::OUTBOX_SQLITE,
            replybus_sql::schema::INBOX_SQLITE,
        ] {
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
    }
    Outbox::new()
        .put(&mut connection, &happened("there"))
        .await
        .unwrap();
    let other = Outbox::named("orders.told").unwrap().install();
    assert!(
        other
            .sql(Dialect::Postgres)
            .contains("INDEX IF NOT EXISTS told_by_position ON orders.told")
    );
}
