//! How events reach the broker.

use crate::{bank::Bank, broker::Events, on_both_databases};
use futures_util::{StreamExt, future::join_all, stream};
use std::{collections::HashSet, sync::Arc};
use town::wait::{eventually, soon};

on_both_databases! {
    what_the_broker_refused_is_emitted_later_under_the_same_id,
    two_relays_at_once_emit_everything_and_nothing_twice,
    a_service_that_stops_leaves_no_event_behind,
    a_service_stops_though_the_broker_refuses,
    events_that_can_not_be_read_hold_no_other_up,
    what_an_older_version_put_is_emitted_as_well,
}

async fn what_the_broker_refused_is_emitted_later_under_the_same_id(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let ada = bank.customer("ada", 500).await;
    bank.customer("bob", 0).await;
    bank.broker.on_events(Events::Refused);
    for key in ["a", "b", "c"] {
        ada.pay("bob", 1, key).await.unwrap();
    }
    bank.broker.refuses(10).await;
    assert_eq!(bank.count("outbox").await, 3);
    bank.broker.on_events(Events::Confirmed);
    bank.outbox_is_empty().await;
    let made = ada.transactions().await;
    let mut made: Vec<_> = made
        .iter()
        .map(|transfer| transfer.id.to_string())
        .collect();
    // Each waited by itself.
    let mut taken = bank.broker.taken();
    made.sort_unstable();
    taken.sort_unstable();
    assert_eq!(taken, made);
}

async fn two_relays_at_once_emit_everything_and_nothing_twice(bank: Arc<Bank>) {
    const TRANSFERS: usize = 150;
    let _accounts = bank.serve_accounts().await;
    let _replicas = [bank.start().await, bank.start().await];
    let ada = bank.customer("ada", 100_000).await;
    bank.customer("bob", 0).await;
    let keys = (0..TRANSFERS).map(|number| number.to_string());
    let ada = &ada;
    let calls = keys.map(|key| async move { ada.pay_in_the_end("bob", 1, &key).await });
    let answers: Vec<_> = stream::iter(calls).buffer_unordered(16).collect().await;
    for answer in answers {
        answer.unwrap();
    }
    bank.outbox_is_empty().await;
    let taken = bank.broker.taken();
    let told: HashSet<_> = taken.iter().cloned().collect();
    let posted = bank.accounts.posted();
    let posted: HashSet<_> = posted.iter().map(ToString::to_string).collect();
    assert_eq!(told, posted);
    assert_eq!((taken.len(), posted.len()), (TRANSFERS, TRANSFERS));
}

async fn a_service_that_stops_leaves_no_event_behind(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let process = bank.start().await;
    let ada = bank.customer("ada", 500).await;
    bank.customer("bob", 0).await;
    let keys: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    for answer in join_all(keys.iter().map(|key| ada.pay_in_the_end("bob", 1, key))).await {
        answer.unwrap();
    }
    process.stop().await;
    assert_eq!(bank.count("outbox").await, 0);
    assert_eq!(bank.broker.taken().len(), 20);
}

async fn a_service_stops_though_the_broker_refuses(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let process = bank.start().await;
    let ada = bank.customer("ada", 500).await;
    bank.customer("bob", 0).await;
    bank.broker.on_events(Events::Refused);
    ada.pay("bob", 1, "rent").await.unwrap();
    soon("the service stops", process.stop()).await;
    assert_eq!(bank.count("outbox").await, 1);
    bank.broker.on_events(Events::Confirmed);
    let _again = bank.start().await;
    bank.outbox_is_empty().await;
    assert_eq!(bank.broker.taken().len(), 1);
}

async fn events_that_can_not_be_read_hold_no_other_up(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let ada = bank.customer("ada", 500).await;
    bank.customer("bob", 0).await;
    ada.pay("bob", 1, "first").await.unwrap();
    bank.broker.takes(1).await;
    // The oldest there are, and more than are taken out at once.
    const UNREADABLE: i64 = 100;
    let database = bank.database().await;
    for number in 0..UNREADABLE {
        let id = format!("00000000-0000-7000-8000-{number:012}");
        for insert in [
            "INSERT INTO transfers (id, from_user, from_username, from_account, to_user,
                to_username, to_account, recipient, amount, idempotency_key, created_at,
                leased_until, state, settled_at, attempts)
            SELECT $1, from_user, from_username, from_account, to_user, to_username, to_account,
                recipient, amount, $1, created_at, leased_until, state, settled_at, attempts
            FROM transfers WHERE idempotency_key = 'first'",
            "INSERT INTO outbox (id, event, leased_until) VALUES ($1, '{}', 0)",
        ] {
            let inserted = sqlx::query(insert).bind(&id).execute(database.pool());
            assert_eq!(inserted.await.unwrap().rows_affected(), 1);
        }
    }
    database.close().await;
    for key in ["second", "third"] {
        ada.pay("bob", 1, key).await.unwrap();
    }
    bank.broker.takes(3).await;
    // What the broker has taken is forgotten a moment later.
    let left = async || (bank.count("outbox").await <= UNREADABLE).then_some(());
    eventually("the others are forgotten", left).await;
    assert_eq!(bank.count("outbox").await, UNREADABLE);
}

async fn what_an_older_version_put_is_emitted_as_well(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let ada = bank.customer("ada", 500).await;
    bank.customer("bob", 0).await;
    bank.broker.on_events(Events::Refused);
    ada.pay("bob", 1, "rent").await.unwrap();
    bank.broker.refuses(1).await;
    let database = bank.database().await;
    let older = "UPDATE outbox SET exchange = NULL, name = NULL, put_at = NULL";
    let older = sqlx::query(older).execute(database.pool()).await.unwrap();
    assert_eq!(older.rows_affected(), 1);
    database.close().await;
    bank.broker.on_events(Events::Confirmed);
    bank.outbox_is_empty().await;
    assert_eq!(bank.broker.taken().len(), 1);
}
