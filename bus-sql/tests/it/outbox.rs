//! What is put, and how it is told.

use crate::stage::{Driver, Happened, Stage, happened, next};
use replybus::{CallId, Context, Event, context::TraceContext};
use replybus_sql::{Entry, OutboxError};
use replybus_testkit::wait;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::mpsc;

on_each_database! {
    what_is_committed_is_told_and_what_is_not_is_not,
    many_are_put_by_one_statement_in_their_order,
    of_one_id_there_is_one_event,
    what_a_type_alone_can_tell_arrives_as_it_was_put,
    what_is_larger_in_another_encoding_leaves,
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

/// In JSON its keys are text, and its total is a number that no float holds.
#[derive(Debug, Clone, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event("days.counted", exchange = "test.things")]
struct Counted {
    by_day: BTreeMap<u64, u64>,
    total: u128,
}

/// In MessagePack each takes five bytes or nine, in JSON about as many as it is written with.
#[derive(Debug, Clone, PartialEq, Event, Serialize, Deserialize)]
#[event("waves.measured", exchange = "test.things")]
struct Measured {
    heights: Vec<f32>,
}

async fn what_a_type_alone_can_tell_arrives_as_it_was_put<D: Driver>(stage: Stage<D>) {
    let counted = Counted {
        by_day: BTreeMap::from([(1, 2), (u64::MAX, 3)]),
        total: u128::MAX,
    };
    let (told, mut handled) = mpsc::unbounded_channel();
    let told = Arc::new(told);
    let subscription = stage.bus.subscribe("counting", move |counted: Counted| {
        let told = Arc::clone(&told);
        async move { told.send(counted).map_err(|_| "nobody waits") }
    });
    let subscription = subscription.await.unwrap();
    let mut connection = stage.pool.acquire().await.unwrap();
    let put = stage.outbox.put(&mut *connection, &counted);
    put.await.unwrap();
    drop(connection);
    stage.drained().await;
    let arrived = wait::soon("it is handled", handled.recv()).await;
    assert_eq!(arrived, Some(counted));
    subscription.shutdown().await.unwrap();
}

async fn what_is_larger_in_another_encoding_leaves<D: Driver>(stage: Stage<D>) {
    let measured = Measured {
        heights: vec![1.0; 60_000],
    };
    let mut heard = stage.listener().await;
    let mut connection = stage.pool.acquire().await.unwrap();
    let put = stage.outbox.put(&mut *connection, &measured);
    put.await.unwrap();
    drop(connection);
    stage.drained().await;
    let event = wait::soon("it is heard", heard.next()).await.unwrap();
    assert_eq!(event.body::<Measured>().unwrap(), measured);
    assert_eq!(stage.left().await, 0);
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
