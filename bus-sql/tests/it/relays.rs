//! What relays do with what they find.

use crate::stage::{Driver, Happened, Stage, happened, next};
use replybus::{
    Bus, CallId, Event,
    reply::memory::MemoryReplies,
    transport::{Binding, QueueSpec, Source, Transport as _, memory::MemoryBroker},
};
use replybus_sql::{Outbox, Relay};
use replybus_testkit::wait;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use tokio_util::sync::CancellationToken;

on_each_database! {
    many_relays_bring_everything_once,
    what_can_not_be_read_holds_no_other_up,
    what_nobody_hears_is_kept_until_somebody_does,
    a_broker_that_is_away_gets_it_later_under_the_same_id,
    a_batch_that_is_refused_makes_room_for_what_is_behind_it,
    a_queue_that_is_full_holds_no_other_event_up,
    a_relay_that_stops_brings_away_what_is_left,
    events_are_prepared_when_they_leave,
    rows_of_before_this_crate_are_read,
}

async fn many_relays_bring_everything_once<D: Driver>(stage: Stage<D>) {
    const EVENTS: usize = 150;
    let mut heard = stage.listener().await;
    let stop = CancellationToken::new();
    let relays: Vec<_> = (0..3)
        .map(|_| {
            let relay = stage.relay().batch(16);
            tokio::spawn(relay.run_until(stop.clone().cancelled_owned()))
        })
        .collect();
    for what in 0..EVENTS {
        stage.put(what).await;
    }
    let mut told = HashSet::new();
    for _ in 0..EVENTS {
        assert!(
            told.insert(next(&mut heard).await.0),
            "an event is told once"
        );
    }
    stage.is_empty().await;
    stop.cancel();
    for relay in relays {
        relay.await.unwrap();
    }
}

async fn what_can_not_be_read_holds_no_other_up<D: Driver>(stage: Stage<D>) {
    let mut heard = stage.listener().await;
    // More than are taken out at once, and older than the rest.
    for number in 0..12 {
        let (id, event, name) = match number % 3 {
            0 => (
                format!("00000000-0000-7000-8000-{number:012}"),
                "{",
                "'thing.happened'",
            ),
            1 => (format!("no id {number}"), "{}", "'thing.happened'"),
            _ => (
                format!("00000000-0000-7000-8000-{number:012}"),
                "{}",
                "NULL",
            ),
        };
        let put = format!(
            "INSERT INTO outbox (id, event, exchange, name)
            VALUES ('{id}', '{event}', 'test.things', {name})"
        );
        stage.execute(&put).await;
    }
    stage.put("readable").await;
    stage
        .relay()
        .batch(4)
        .run_until(std::future::ready(()))
        .await;
    assert_eq!(next(&mut heard).await.0, "readable");
    assert_eq!(stage.left().await, 12);
    let tried = "SELECT COUNT(*) FROM outbox WHERE attempts = 1 AND leased_until > 1000000";
    assert_eq!(stage.number(tried).await, 12);
    // They are left alone for a while.
    stage.drained().await;
    assert_eq!(stage.number(tried).await, 12);
}

async fn what_nobody_hears_is_kept_until_somebody_does<D: Driver>(stage: Stage<D>) {
    stage.put("unheard").await;
    let unheard = || stage.relay().mandatory();
    unheard().run_until(std::future::ready(())).await;
    assert_eq!(stage.left().await, 1);
    let mut heard = stage.listener().await;
    stage.put("heard").await;
    let relaying = tokio::spawn(unheard().run_until(std::future::pending()));
    let told = [next(&mut heard).await.0, next(&mut heard).await.0];
    assert_eq!(
        HashSet::from(told),
        HashSet::from(["heard".to_owned(), "unheard".to_owned()])
    );
    stage.is_empty().await;
    relaying.abort();
}

async fn a_broker_that_is_away_gets_it_later_under_the_same_id<D: Driver>(stage: Stage<D>) {
    let mut connection = stage.pool.acquire().await.unwrap();
    let event = happened("late");
    let put = stage.outbox.put(&mut *connection, &event);
    let id = put.await.unwrap().to_string();
    drop(connection);
    let away = Bus::in_memory();
    away.close(wait::AT_MOST).await;
    let relay = Relay::new(&away, &stage.outbox, D::connections(&stage.pool));
    relay.run_until(std::future::ready(())).await;
    // It was given back, and not for its own fault.
    let waits = "SELECT COUNT(*) FROM outbox WHERE leased_until = 0 AND attempts = 0";
    assert_eq!(stage.number(waits).await, 1);
    let mut heard = stage.listener().await;
    stage.drained().await;
    assert_eq!(next(&mut heard).await, ("late".to_owned(), id));
}

async fn a_batch_that_is_refused_makes_room_for_what_is_behind_it<D: Driver>(stage: Stage<D>) {
    let mut heard = stage.listener().await;
    for what in 0..3 {
        stage.put(what).await;
    }
    let away = Bus::in_memory();
    away.close(wait::AT_MOST).await;
    let relay = Relay::new(&away, &stage.outbox, D::connections(&stage.pool));
    relay.batch(2).run_until(std::future::ready(())).await;
    let aside = "SELECT COUNT(*) FROM outbox WHERE leased_until > 0 AND attempts = 0";
    assert_eq!(stage.number(aside).await, 2);
    // As if none of them were due yet.
    let later = "UPDATE outbox SET leased_until = leased_until + 3600000000 WHERE leased_until > 0";
    stage.execute(later).await;
    stage.drained().await;
    assert_eq!(next(&mut heard).await.0, "2");
    assert_eq!(stage.left().await, 2);
}

async fn a_queue_that_is_full_holds_no_other_event_up<D: Driver>(stage: Stage<D>) {
    const REFUSED: i64 = 20;
    let broker = MemoryBroker::new();
    let connecting = Bus::connect(broker.clone(), MemoryReplies::new());
    let bus = connecting.await.unwrap();
    let stage = Stage { bus, ..stage };
    let source = Source::new(QueueSpec::new("full").length_max(1), 1);
    let source = source.bind(Binding::new("test.things", "thing.happened"));
    let mut nobody = broker.connect().consume(source).await.unwrap();
    nobody.stop().await;
    stage.bus.emit(&happened("fills it")).await.unwrap();

    let listening = stage.bus.listen("test.things", "thing.vanished");
    let mut heard = listening.await.unwrap();
    for what in 0..REFUSED {
        stage.put(what).await;
    }
    let other = Vanished {
        what: "taken".to_owned(),
    };
    let mut connection = stage.pool.acquire().await.unwrap();
    let put = stage.outbox.put(&mut *connection, &other);
    put.await.unwrap();
    drop(connection);
    let relaying = tokio::spawn(stage.relay().batch(2).run_until(std::future::pending()));
    assert_eq!(next(&mut heard).await.0, "taken");
    let tried = "SELECT COUNT(*) FROM outbox WHERE attempts > 0";
    wait::eventually("the others wait by themselves", || async {
        stage.number(tried).await == REFUSED
    })
    .await;
    relaying.abort();
}

async fn a_relay_that_stops_brings_away_what_is_left<D: Driver>(stage: Stage<D>) {
    let mut heard = stage.listener().await;
    for what in 0..20 {
        stage.put(what).await;
    }
    // More rounds than one.
    stage
        .relay()
        .batch(3)
        .run_until(std::future::ready(()))
        .await;
    assert_eq!(stage.left().await, 0);
    for what in 0..20 {
        assert_eq!(next(&mut heard).await.0, what.to_string());
    }
}

async fn events_are_prepared_when_they_leave<D: Driver>(stage: Stage<D>) {
    let mut heard = stage.listener().await;
    stage.put("fine").await;
    stage.put("refused").await;
    let relay = stage
        .relay()
        .prepare(|event: Happened| match event.what.as_str() {
            "refused" => Err("no".into()),
            what => Ok(happened(format!("{what}, and sealed"))),
        });
    relay.run_until(std::future::ready(())).await;
    assert_eq!(next(&mut heard).await.0, "fine, and sealed");
    assert_eq!(stage.left().await, 1);
}

/// Of another name: what is prepared by its type is told from the rest.
#[derive(Event, Serialize, Deserialize)]
#[event("thing.vanished", exchange = "test.things")]
struct Vanished {
    what: String,
}

async fn rows_of_before_this_crate_are_read<D: Driver>(stage: Stage<D>) {
    let mut heard = stage.listener().await;
    stage.execute("DROP TABLE outbox").await;
    let old = "CREATE TABLE outbox
        (id TEXT NOT NULL PRIMARY KEY, event TEXT NOT NULL, leased_until BIGINT NOT NULL)";
    stage.execute(old).await;
    let put = |id: CallId, what: &str| {
        format!(
            "INSERT INTO outbox (id, event, leased_until)
            VALUES ('{id}', '{{\"what\":\"{what}\",\"traceparent\":\"unknown\"}}', 0)"
        )
    };
    let (first, second) = (CallId::new(), CallId::new());
    stage.execute(&put(first, "before")).await;
    let mut connection = stage.pool.acquire().await.unwrap();
    stage.outbox.install().run(&mut *connection).await.unwrap();
    stage
        .outbox
        .put(
            &mut *connection,
            &Vanished {
                what: "named".to_owned(),
            },
        )
        .await
        .unwrap();
    drop(connection);
    // An older build, which goes on meanwhile.
    stage.execute(&put(second, "beside")).await;
    stage
        .relay()
        .unnamed::<Happened>()
        .run_until(std::future::ready(()))
        .await;
    assert_eq!(
        next(&mut heard).await,
        ("before".to_owned(), first.to_string())
    );
    assert_eq!(next(&mut heard).await.0, "named");
    assert_eq!(
        next(&mut heard).await,
        ("beside".to_owned(), second.to_string())
    );
    assert_eq!(stage.left().await, 0);
}

#[tokio::test]
async fn what_is_taken_out_at_once_is_bounded() {
    let pool = sqlx::sqlite::SqlitePoolOptions::new();
    let pool = pool.connect_lazy("sqlite::memory:").unwrap();
    let relay = Relay::new(&Bus::in_memory(), &Outbox::new(), pool);
    let shown = format!("{:?}", relay.batch(usize::MAX));
    assert!(shown.contains("batch: 1000"), "{shown}");
}
