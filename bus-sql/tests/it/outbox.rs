//! What is put, and how it is told.

use crate::stage::{Driver, Happened, Stage, happened, next};
use replybus::{CallId, Context, context::TraceContext};
use replybus_sql::{Entry, OutboxError};
use replybus_testkit::wait;
use std::sync::Arc;
use tokio::sync::mpsc;

on_each_database! {
    what_is_committed_is_told_and_what_is_not_is_not,
    many_are_put_by_one_statement_in_their_order,
    of_one_id_there_is_one_event,
    it_is_told_in_the_trace_of_what_it_tells_of,
    a_relay_that_is_told_of_it_looks_at_once,
}

async fn what_is_committed_is_told_and_what_is_not_is_not<D: Driver>(stage: Stage<D>) {
    let mut heard = stage.listener().await;
    let mut transaction = stage.pool.begin().await.unwrap();
    stage
        .outbox
        .put(&mut *transaction, &happened("undone"))
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    let mut transaction = stage.pool.begin().await.unwrap();
    let id = stage
        .outbox
        .put(&mut *transaction, &happened("done"))
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    stage.drained().await;
    assert_eq!(next(&mut heard).await, ("done".to_owned(), id.to_string()));
    assert_eq!(stage.left().await, 0);
}

async fn many_are_put_by_one_statement_in_their_order<D: Driver>(stage: Stage<D>) {
    // Texts that statements and JSON have a meaning for.
    let told = [
        "\"quoted\"",
        "'; DROP TABLE outbox",
        "\u{0}\\",
        "new\nline",
        "ünï",
        "{}",
    ];
    let entries: Vec<_> = told
        .iter()
        .map(|what| Entry::of(&happened(what)).unwrap())
        .collect();
    let mut heard = stage.listener().await;
    let mut connection = stage.pool.acquire().await.unwrap();
    stage
        .outbox
        .put_all(&mut *connection, &entries)
        .await
        .unwrap();
    stage.outbox.put_all(&mut *connection, []).await.unwrap();
    drop(connection);
    stage.drained().await;
    for (what, entry) in told.iter().zip(&entries) {
        assert_eq!(
            next(&mut heard).await,
            ((*what).to_owned(), entry.id().to_string())
        );
    }
}

async fn of_one_id_there_is_one_event<D: Driver>(stage: Stage<D>) {
    let entry = Entry::of(&happened("once")).unwrap().with_id(CallId::new());
    let mut connection = stage.pool.acquire().await.unwrap();
    stage
        .outbox
        .put_entry(&mut *connection, &entry)
        .await
        .unwrap();
    let again = stage.outbox.put_entry(&mut *connection, &entry).await;
    assert!(matches!(again, Err(OutboxError::Database(_))), "{again:?}");
    drop(connection);
    assert_eq!(stage.left().await, 1);
}

async fn it_is_told_in_the_trace_of_what_it_tells_of<D: Driver>(stage: Stage<D>) {
    let (told, mut traces) = mpsc::unbounded_channel();
    let told = Arc::new(told);
    let subscription = stage.bus.subscribe("traced", move |_: Happened| {
        let told = Arc::clone(&told);
        async move { told.send(Context::current().trace().cloned()) }
    });
    let subscription = subscription.await.unwrap();
    let trace = TraceContext::root(CallId::new());
    let put = Context::builder().trace(trace.clone()).build();
    put.scope(stage.put("traced")).await;
    stage.drained().await;
    let heard = wait::soon("it is told", traces.recv())
        .await
        .unwrap()
        .unwrap();
    let id = |trace: &TraceContext| trace.to_string().split('-').nth(1).map(str::to_owned);
    assert_eq!(id(&heard), id(&trace));
    subscription.shutdown().await.unwrap();
}

async fn a_relay_that_is_told_of_it_looks_at_once<D: Driver>(stage: Stage<D>) {
    let mut heard = stage.listener().await;
    // By itself it would look when the test has long failed.
    let relay = stage.relay().look_every(wait::AT_MOST * 2);
    let relaying = tokio::spawn(relay.run_until(std::future::pending()));
    for what in 0..3 {
        stage.put(what).await;
        stage.outbox.wake();
        assert_eq!(next(&mut heard).await.0, what.to_string());
    }
    relaying.abort();
}

#[test]
fn what_can_not_be_put_is_refused_before() {
    let large = happened("x".repeat(replybus::limits::REQUEST_BYTES_MAX));
    let refused = Entry::of(&large).unwrap_err();
    assert_eq!(refused.to_string(), "event thing.happened can't be encoded");
    let refused: sqlx::Error = refused.into();
    assert!(matches!(refused, sqlx::Error::Encode(_)));
    for key in ["", "a\nb", &"k".repeat(256)] {
        assert!(Entry::of(&happened("")).unwrap().with_key(key).is_err());
    }
}
