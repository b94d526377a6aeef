//! Order by key, whichever relays there are and whatever becomes of them.

use crate::stage::{Driver, Happened, Stage, happened, next};
use replybus_sql::Entry;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

on_each_database! {
    relays_that_race_keep_the_order_of_each_key,
    what_fails_holds_up_its_key_and_no_other,
}

async fn put<D: Driver>(stage: &Stage<D>, key: &str, what: impl ToString) {
    let entry = Entry::of(&happened(what)).unwrap().with_key(key).unwrap();
    let mut connection = stage.pool.acquire().await.unwrap();
    stage
        .outbox
        .put_entry(&mut *connection, &entry)
        .await
        .unwrap();
}

async fn relays_that_race_keep_the_order_of_each_key<D: Driver>(stage: Stage<D>) {
    const KEYS: usize = 4;
    const EACH: usize = 30;
    let mut heard = stage.listener().await;
    let stop = CancellationToken::new();
    // Of the attempts a third fails, at random.
    let attempts = Arc::new(AtomicU32::new(7));
    let relays: Vec<_> = (0..4)
        .map(|_| {
            let attempts = Arc::clone(&attempts);
            let relay = stage.relay().batch(9).prepare(move |event: Happened| {
                let attempt = attempts.fetch_add(1, Ordering::Relaxed);
                let fails = attempt.wrapping_mul(2_654_435_761) >> 16;
                if fails.is_multiple_of(3) {
                    Err("not now".into())
                } else {
                    Ok(event)
                }
            });
            tokio::spawn(relay.run_until(stop.clone().cancelled_owned()))
        })
        .collect();
    for number in 0..EACH {
        for key in 0..KEYS {
            put(&stage, &format!("key {key}"), format!("{key} {number}")).await;
        }
    }
    let mut told: HashMap<String, Vec<usize>> = HashMap::new();
    let mut ids = HashSet::new();
    while ids.len() < KEYS * EACH {
        // What failed so is left alone for minutes, which are not waited for.
        stage
            .execute("UPDATE outbox SET leased_until = 0 WHERE attempts > 0")
            .await;
        let heard = tokio::time::timeout(std::time::Duration::from_millis(20), heard.next()).await;
        let Ok(Some(event)) = heard else { continue };
        assert_eq!(event.missed, 0);
        if ids.insert(event.id().unwrap().to_owned()) {
            let what = event.body::<Happened>().unwrap().what;
            let (key, number) = what.split_once(' ').unwrap();
            told.entry(key.to_owned())
                .or_default()
                .push(number.parse().unwrap());
        }
    }
    for (key, told) in told {
        assert_eq!(told, (0..EACH).collect::<Vec<_>>(), "of {key}");
    }
    stop.cancel();
    for relay in relays {
        relay.await.unwrap();
    }
}

async fn what_fails_holds_up_its_key_and_no_other<D: Driver>(stage: Stage<D>) {
    let mut heard = stage.listener().await;
    for (key, what) in [("a", "bad"), ("b", "1"), ("a", "2"), ("b", "3"), ("a", "4")] {
        put(&stage, key, what).await;
    }
    let refusing = |bad: bool| {
        stage.relay().prepare(move |event: Happened| {
            if bad && event.what == "bad" {
                Err("bad".into())
            } else {
                Ok(event)
            }
        })
    };
    refusing(true).run_until(std::future::ready(())).await;
    assert_eq!(next(&mut heard).await.0, "1");
    assert_eq!(next(&mut heard).await.0, "3");
    assert_eq!(stage.left().await, 3);
    stage.execute("UPDATE outbox SET leased_until = 0").await;
    refusing(false).run_until(std::future::ready(())).await;
    for what in ["bad", "2", "4"] {
        assert_eq!(next(&mut heard).await.0, what);
    }
    assert_eq!(stage.left().await, 0);
}
