//! A process that ends between any two steps.

use crate::stage::{Driver, Stage, on_postgres};
use futures_util::poll;
use replybus_sql::{InboxError, Outbox, Request};
use replybus_testkit::wait::eventually;
use std::{collections::HashSet, future::Future, pin::pin};

on_each_database! {
    a_relay_that_dies_anywhere_loses_nothing,
    a_handler_that_dies_anywhere_did_all_or_nothing,
}

/// Polls a future so often at most, and drops it where it is.
async fn dies_after<F: Future>(polls: usize, living: F) {
    let mut living = pin!(living);
    for _ in 0..polls {
        if poll!(living.as_mut()).is_ready() {
            return;
        }
        // What it waits for goes on.
        tokio::time::sleep(std::time::Duration::from_micros(300)).await;
    }
}

async fn a_relay_that_dies_anywhere_loses_nothing<D: Driver>(stage: Stage<D>) {
    const EVENTS: usize = 5;
    for polls in 0..25 {
        let mut heard = stage.listener().await;
        for what in 0..EVENTS {
            stage.put(format!("{polls} {what}")).await;
        }
        dies_after(
            polls,
            stage.relay().batch(2).run_until(std::future::ready(())),
        )
        .await;
        // As if the time had passed for which it had them. What it asked for last may reach the
        // database after that, and have them again.
        eventually("all are told", || async {
            stage.execute("UPDATE outbox SET leased_until = 0").await;
            stage.drained().await;
            stage.left().await == 0
        })
        .await;
        let mut told = HashSet::new();
        while told.len() < EVENTS {
            told.insert(crate::stage::next(&mut heard).await);
        }
        let names: HashSet<_> = told.iter().map(|(what, _)| what).collect();
        assert_eq!(names.len(), EVENTS, "each has one id");
    }
}

async fn a_handler_that_dies_anywhere_did_all_or_nothing<D: Driver>(stage: Stage<D>) {
    stage.execute("CREATE TABLE effects (of BIGINT)").await;
    for polls in 0..25_i64 {
        let request = Request::new("effect", &polls.to_string(), &()).unwrap();
        let effect = format!("INSERT INTO effects VALUES ({polls})");
        let handler = || {
            stage.inbox.once(
                &stage.pool,
                &request,
                async |transaction: &mut D::Connection| {
                    D::within(transaction, &effect).await;
                    Ok::<_, InboxError>(polls)
                },
            )
        };
        dies_after(usize::try_from(polls).unwrap(), handler()).await;
        let count = format!("SELECT COUNT(*) FROM effects WHERE of = {polls}");
        // At one moment: a commit that was on its way may arrive at any.
        let more =
            format!("SELECT ({count}) - (SELECT COUNT(*) FROM inbox WHERE key = 'effect:{polls}')");
        assert_eq!(stage.number(&more).await, 0);
        assert_eq!(handler().await.unwrap(), polls);
        assert_eq!(handler().await.unwrap(), polls);
        assert_eq!(stage.number(&count).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_that_dies_anywhere_leaves_no_transaction() {
    on_postgres(|stage| async move {
        stage.execute("CREATE TABLE effects (of BIGINT)").await;
        for polls in 0..12_u8 {
            let install = Outbox::named(&format!("made_{polls}")).unwrap().install();
            let mut connection = stage.pool.acquire().await.unwrap();
            dies_after(polls.into(), install.run(&mut *connection)).await;
            // In a transaction that was left nobody else would see it.
            let effect = format!("INSERT INTO effects VALUES ({polls})");
            sqlx::Postgres::within(&mut connection, &effect).await;
            let effects = stage.number("SELECT COUNT(*) FROM effects").await;
            assert_eq!(effects, i64::from(polls) + 1);
            install.run(&mut *connection).await.unwrap();
        }
    })
    .await;
}
