//! Standing orders.

use crate::{
    bank::{Bank, Customer, named},
    on_both_databases,
};
use contracts::{
    Amount, IdempotencyKey, PageRequest, Refused, TimeZoneName,
    standing_order::{CalendarUnit, Every, NewStandingOrder, StandingOrder, StandingState},
    transfer::{TransferError, TransferStatus},
};
use futures_util::future::join_all;
use jiff::Timestamp;
use replybus::{CallError, Never, queue_handler};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use town::wait::eventually;
use uuid::Uuid;

on_both_databases! {
    an_order_is_made_when_its_time_comes_and_ends_after_its_times,
    without_its_message_an_order_is_found_overdue,
    times_that_were_missed_are_all_made_once_by_however_many_processes,
    who_has_too_little_is_told_so_and_the_next_time_goes_on,
    a_forged_message_moves_nothing_that_is_not_due,
    an_order_that_is_cancelled_moves_nothing_more,
    one_key_is_one_order,
    orders_that_go_on_come_before_newer_ones_that_are_over,
    an_order_has_one_alarm_however_often_it_is_sent_and_woken,
    an_order_that_makes_no_sense_is_refused,
    of_many_orders_at_once_no_more_than_allowed_go_on,
    an_order_is_its_users_alone,
    a_crash_in_the_middle_of_a_transfer_costs_nobody_anything,
    a_thousand_orders_are_all_made,
    an_order_of_an_unknown_time_zone_stays_due_and_keeps_nobody_back,
}

/// The messages that wake the service, as whoever may write to its queue sends them.
#[queue_handler("transfer.standing", timeout = "30s")]
trait Forged {
    #[command(own_record)]
    async fn wake(&self, order: Uuid) -> Result<(), Never>;
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn daily(amount: i64, first_at: Timestamp, key: &str) -> NewStandingOrder {
    NewStandingOrder {
        to: named("bob"),
        amount: Amount::new(amount).unwrap(),
        reference: Some("Rent".parse().unwrap()),
        first_at,
        every: Every::new(1, CalendarUnit::Day).unwrap(),
        time_zone: TimeZoneName::utc(),
        until: None,
        times: None,
        key: IdempotencyKey::try_from(key.to_owned()).unwrap(),
    }
}

async fn orders(
    bank: &Bank,
    ada: &Customer,
    order: NewStandingOrder,
) -> Result<StandingOrder, TransferError> {
    let call = bank.transfers().order_standing(order);
    match call.metadata("session", &ada.session).await {
        Ok(order) => Ok(order),
        Err(CallError::Handler(error)) => Err(error),
        Err(CallError::Bus(failure)) => panic!("{failure:?}"),
    }
}

async fn all(bank: &Bank, ada: &Customer) -> Vec<StandingOrder> {
    let call = bank.transfers().standing_orders(PageRequest::new(1, 100));
    call.metadata("session", &ada.session).await.unwrap().items
}

/// Waits until an order's time has come so often, and its alarms are heard.
async fn came(bank: &Bank, ada: &Customer, id: Uuid, occurrences: u32) -> StandingOrder {
    eventually("its time has come", async || {
        let all = all(bank, ada).await;
        let order = all.into_iter().find(|order| order.id == id).unwrap();
        (order.occurrences == occurrences).then_some(order)
    })
    .await
}

/// As if it had been ordered, and not been looked at, some days ago.
async fn is_days_ago(bank: &Bank, id: Uuid, days: i64) {
    let database = bank.database().await;
    let micros = days * i64::try_from(DAY.as_micros()).unwrap() + 60_000_000;
    let update = "UPDATE standing_orders SET first_at = first_at - $2, next_at = next_at - $2
        WHERE id = $1";
    sqlx::query(update)
        .bind(id.to_string())
        .bind(micros)
        .execute(database.pool())
        .await
        .unwrap();
    database.close().await;
}

fn tomorrow() -> Timestamp {
    Timestamp::now() + DAY
}

async fn customers(bank: &Bank, balance: i64) -> [Customer; 2] {
    [
        bank.customer("ada", balance).await,
        bank.customer("bob", 0).await,
    ]
}

async fn an_order_is_made_when_its_time_comes_and_ends_after_its_times(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let [ada, bob] = customers(&bank, 500).await;
    let mut order = daily(200, Timestamp::now(), "once");
    order.times = Some(1);
    let ordered = orders(&bank, &ada, order).await.unwrap();
    assert_eq!(
        (ordered.to.as_str(), ordered.state),
        ("bob", StandingState::Active)
    );
    let made = came(&bank, &ada, ordered.id, 1).await;
    assert_eq!((made.state, made.next_at), (StandingState::Ended, None));
    let last = made.last.unwrap();
    assert!(last.made && last.reason.is_none());
    assert_eq!(last.due_at, ordered.first_at);
    let transfers = ada.transactions().await;
    assert_eq!(transfers.len(), 1);
    assert_eq!(transfers[0].status, TransferStatus::Completed);
    assert_eq!(transfers[0].reference.as_ref().unwrap().as_str(), "Rent");
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);

    // One that goes on, a second from now by its message alone.
    let soon = Timestamp::now() + Duration::from_secs(1);
    let ordered = orders(&bank, &ada, daily(7, soon, "daily")).await.unwrap();
    let made = came(&bank, &ada, ordered.id, 1).await;
    assert_eq!(made.state, StandingState::Active);
    assert_eq!(made.next_at, Some(soon_as_stored(soon) + DAY));
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 207);
}

/// What is stored is counted in microseconds.
fn soon_as_stored(moment: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(moment.as_microsecond()).unwrap()
}

async fn without_its_message_an_order_is_found_overdue(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let [ada, bob] = customers(&bank, 500).await;
    let ordered = orders(&bank, &ada, daily(200, tomorrow(), "key"))
        .await
        .unwrap();
    // Its message comes tomorrow.
    is_days_ago(&bank, ordered.id, 1).await;
    let made = came(&bank, &ada, ordered.id, 1).await;
    assert!(made.last.unwrap().made && made.next_at.unwrap() > Timestamp::now());
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);
}

async fn times_that_were_missed_are_all_made_once_by_however_many_processes(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let process = bank.start().await;
    let [ada, bob] = customers(&bank, 5_000).await;
    let ordered = orders(&bank, &ada, daily(200, tomorrow(), "key"))
        .await
        .unwrap();
    process.crash().await;
    is_days_ago(&bank, ordered.id, 5).await;
    let processes = join_all((0..3).map(|_| bank.start())).await;
    let forged = ForgedClient::new(&bank.platform.bus);
    let wakes = (0..20).map(|_| async { forged.wake(ordered.id).await.unwrap() });
    join_all(wakes).await;
    came(&bank, &ada, ordered.id, 5).await;
    let transfers = ada.is_settled().await;
    assert_eq!(transfers.len(), 5);
    assert_eq!(bank.accounts.posted().len(), 5);
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 1_000);
    drop(processes);
}

async fn who_has_too_little_is_told_so_and_the_next_time_goes_on(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let [ada, bob] = customers(&bank, 100).await;
    let ordered = orders(&bank, &ada, daily(200, tomorrow(), "key"))
        .await
        .unwrap();
    is_days_ago(&bank, ordered.id, 1).await;
    let failed = came(&bank, &ada, ordered.id, 1).await;
    let last = failed.last.unwrap();
    assert!(!last.made);
    assert_eq!(last.reason.as_deref(), Some("Insufficient balance"));
    assert_eq!(failed.state, StandingState::Active);
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 0);
    let rejected = ada.transactions().await;
    assert_eq!(rejected[0].status, TransferStatus::Rejected);
    // Its payer is told, once, under the transfer's id.
    bank.outbox_is_empty().await;
    assert_eq!(bank.broker.taken(), [rejected[0].id.to_string()]);
    // With money there is a next time.
    let _rich = bank.customer("carol", 1_000).await;
    let carol = _rich;
    carol.pay("ada", 500, "gift").await.unwrap();
    is_days_ago(&bank, ordered.id, 1).await;
    let made = came(&bank, &ada, ordered.id, 2).await;
    assert!(made.last.unwrap().made);
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);
}

async fn a_forged_message_moves_nothing_that_is_not_due(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let [ada, bob] = customers(&bank, 500).await;
    let ordered = orders(&bank, &ada, daily(200, tomorrow(), "key"))
        .await
        .unwrap();
    let forged = ForgedClient::new(&bank.platform.bus);
    for id in [ordered.id, Uuid::nil(), Uuid::now_v7()] {
        for _ in 0..5 {
            forged.wake(id).await.unwrap();
        }
    }
    assert!(ada.transactions().await.is_empty());
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 0);
    assert_eq!(all(&bank, &ada).await, [ordered]);
}

async fn an_order_that_is_cancelled_moves_nothing_more(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let [ada, bob] = customers(&bank, 500).await;
    let ordered = orders(&bank, &ada, daily(200, tomorrow(), "key"))
        .await
        .unwrap();
    let cancel = || {
        let call = bank.transfers().cancel_standing_order(ordered.id);
        call.metadata("session", &ada.session)
    };
    let cancelled = cancel().await.unwrap();
    assert_eq!(
        (cancelled.state, cancelled.next_at),
        (StandingState::Cancelled, None)
    );
    assert_eq!(cancel().await.unwrap(), cancelled);
    is_days_ago(&bank, ordered.id, 3).await;
    ForgedClient::new(&bank.platform.bus)
        .wake(ordered.id)
        .await
        .unwrap();
    assert!(ada.transactions().await.is_empty());
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 0);
    // Asked for again under its key it stays what it is.
    let mut again = daily(200, ordered.first_at, "key");
    again.first_at = all(&bank, &ada).await[0].first_at;
    let again = orders(&bank, &ada, again).await.unwrap();
    assert_eq!(again.state, StandingState::Cancelled);
}

async fn one_key_is_one_order(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let [ada, _bob] = customers(&bank, 500).await;
    let first = soon_as_stored(tomorrow());
    let ordered = join_all((0..10).map(|_| orders(&bank, &ada, daily(200, first, "key")))).await;
    let ordered: Vec<_> = ordered.into_iter().map(Result::unwrap).collect();
    assert!(ordered.iter().all(|order| order.id == ordered[0].id));
    let other = orders(&bank, &ada, daily(201, first, "key")).await;
    assert_eq!(other, Err(TransferError::KeyConflict));
    assert_eq!(bank.count("standing_orders").await, 1);
}

async fn orders_that_go_on_come_before_newer_ones_that_are_over(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let [ada, _bob] = customers(&bank, 500).await;
    let mut ids = Vec::new();
    for key in ["old", "middle", "new", "newest"] {
        let order = daily(200, tomorrow(), key);
        ids.push(orders(&bank, &ada, order).await.unwrap().id);
    }
    for over in [ids[1], ids[3]] {
        let cancel = bank.transfers().cancel_standing_order(over);
        cancel.metadata("session", &ada.session).await.unwrap();
    }
    let mut listed = Vec::new();
    for number in 1..=2 {
        let page = bank
            .transfers()
            .standing_orders(PageRequest::new(number, 2));
        let page = page.metadata("session", &ada.session).await.unwrap();
        listed.extend(page.items.into_iter().map(|order| order.id));
    }
    assert_eq!(listed, [ids[2], ids[0], ids[3], ids[1]]);
}

async fn an_order_has_one_alarm_however_often_it_is_sent_and_woken(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let [ada, _bob] = customers(&bank, 500).await;
    let first = soon_as_stored(tomorrow());
    for _ in 0..50 {
        orders(&bank, &ada, daily(200, first, "key")).await.unwrap();
    }
    let ordered = all(&bank, &ada).await.remove(0);
    let alarms = eventually("an alarm is set", async || {
        let alarms = alarms(&bank).await;
        (!alarms.is_empty()).then_some(alarms)
    })
    .await;
    assert_eq!(alarms.len(), 1, "{alarms:?}");

    // The time comes, and as many wake the service as older versions set alarms.
    is_days_ago(&bank, ordered.id, 1).await;
    let forged = ForgedClient::new(&bank.platform.bus);
    let wakes = (0..50).map(|_| async { forged.wake(ordered.id).await.unwrap() });
    join_all(wakes).await;
    let made = came(&bank, &ada, ordered.id, 1).await;
    let next_at = made.next_at.unwrap();
    let alarms = eventually("the next alarm is set", async || {
        let mut alarms = self::alarms(&bank).await;
        // The one that was set first is for the moment that has been moved.
        alarms.retain(|at| *at != alarm_at(first));
        (!alarms.is_empty()).then_some(alarms)
    })
    .await;
    assert_eq!(alarms, [alarm_at(next_at)]);

    // Others that wake it set none.
    forged.wake(ordered.id).await.unwrap();
    assert_eq!(self::alarms(&bank).await.len(), 2);
}

/// When the service is to be woken.
async fn alarms(bank: &Bank) -> Vec<SystemTime> {
    let delayed = bank.platform.bus.delayed("transfer.standing").await;
    let delayed = delayed.unwrap().into_iter();
    delayed.map(|alarm| alarm.due_at).collect()
}

/// The alarm of a moment, as precise as it is noted.
fn alarm_at(moment: Timestamp) -> SystemTime {
    let since = SystemTime::from(moment).duration_since(UNIX_EPOCH).unwrap();
    UNIX_EPOCH + Duration::from_millis(u64::try_from(since.as_millis()).unwrap())
}

async fn an_order_that_makes_no_sense_is_refused(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let [ada, _bob] = customers(&bank, 500).await;
    let wrong = |what: &str| Err(TransferError::NoSuchTime(what.to_owned()));
    for far in [Timestamp::MIN, Timestamp::now() - DAY, Timestamp::MAX] {
        let refused = orders(&bank, &ada, daily(1, far, "key")).await;
        assert_eq!(refused, wrong("first_at"));
    }
    let mut order = daily(1, tomorrow(), "key");
    order.until = Some(Timestamp::now());
    assert_eq!(orders(&bank, &ada, order.clone()).await, wrong("until"));
    order.until = None;
    order.times = Some(0);
    assert_eq!(orders(&bank, &ada, order.clone()).await, wrong("times"));
    order.times = None;
    order.to = named("nobody");
    let refused = orders(&bank, &ada, order.clone()).await;
    assert_eq!(refused, Err(TransferError::UnknownRecipient));
    order.to = named("ada");
    let refused = orders(&bank, &ada, order).await;
    assert_eq!(refused, Err(TransferError::ToYourself));
    assert_eq!(bank.count("standing_orders").await, 0);
    // Someone has so many at once.
    let ordering = (0..100).map(|n| {
        let order = daily(1, soon_as_stored(tomorrow()), &format!("n {n}"));
        let (bank, ada) = (&bank, &ada);
        async move { orders(bank, ada, order).await.unwrap() }
    });
    join_all(ordering).await;
    let refused = orders(&bank, &ada, daily(1, tomorrow(), "one more")).await;
    assert_eq!(refused, Err(TransferError::TooManyStandingOrders(100)));
}

async fn of_many_orders_at_once_no_more_than_allowed_go_on(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let [ada, _bob] = customers(&bank, 500).await;
    let first = soon_as_stored(tomorrow());
    let ordering = (0..130).map(|n| {
        let order = daily(1, first, &format!("n {n}"));
        orders(&bank, &ada, order)
    });
    let ordered = join_all(ordering).await;
    let refused: Vec<_> = ordered.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 30, "{refused:?}");
    for error in refused {
        assert_eq!(error, TransferError::TooManyStandingOrders(100));
    }
    assert_eq!(bank.count("standing_orders").await, 100);
}

async fn an_order_is_its_users_alone(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let [ada, bob] = customers(&bank, 500).await;
    let ordered = orders(&bank, &ada, daily(200, tomorrow(), "key"))
        .await
        .unwrap();
    assert!(all(&bank, &bob).await.is_empty());
    let cancel = bank.transfers().cancel_standing_order(ordered.id);
    let refused = cancel.metadata("session", &bob.session).await;
    assert!(
        matches!(
            refused,
            Err(CallError::Handler(TransferError::NoStandingOrder))
        ),
        "{refused:?}"
    );
    let id = ordered.id;
    assert_eq!(all(&bank, &ada).await, [ordered]);
    let unsigned: TransferError = Refused::Unauthenticated.into();
    let nobody = bank.transfers().cancel_standing_order(id).await;
    assert!(matches!(nobody, Err(CallError::Handler(error)) if error == unsigned));
    let nobody = bank
        .transfers()
        .standing_orders(PageRequest::default())
        .await;
    assert!(matches!(nobody, Err(CallError::Handler(error)) if error == unsigned));
    let order = daily(1, tomorrow(), "unsigned");
    let nobody = bank.transfers().order_standing(order).await;
    assert!(matches!(nobody, Err(CallError::Handler(error)) if error == unsigned));
}

async fn a_crash_in_the_middle_of_a_transfer_costs_nobody_anything(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let process = bank.start().await;
    let [ada, bob] = customers(&bank, 500).await;
    let ordered = orders(&bank, &ada, daily(200, tomorrow(), "key"))
        .await
        .unwrap();
    // The money moves, and nobody hears of it.
    bank.accounts
        .on_postings(crate::accounts::Script::WaitAfterwards);
    is_days_ago(&bank, ordered.id, 1).await;
    eventually("the ledger has posted it", async || {
        (bank.accounts.balance(&bob.party.account_number) == 200).then_some(())
    })
    .await;
    process.crash().await;
    bank.accounts.on_postings(crate::accounts::Script::Answer);
    bank.let_leases_lapse().await;
    let _process = bank.start().await;
    let made = came(&bank, &ada, ordered.id, 1).await;
    assert!(made.last.unwrap().made);
    assert_eq!(ada.is_settled().await.len(), 1);
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);
    assert_eq!(bank.accounts.balance(&ada.party.account_number), 300);
}

async fn a_thousand_orders_are_all_made(bank: Arc<Bank>) {
    const ORDERS: i64 = 1_000;
    let _accounts = bank.serve_accounts().await;
    let [ada, bob] = customers(&bank, ORDERS).await;
    due_days_ago(&bank, &ada, &bob, ORDERS, ("UTC", Some(1))).await;
    let _processes = join_all((0..2).map(|_| bank.start())).await;
    eventually("all are made", async || {
        (bank.accounts.balance(&bob.party.account_number) == ORDERS).then_some(())
    })
    .await;
    assert_eq!(bank.accounts.balance(&ada.party.account_number), 0);
}

async fn an_order_of_an_unknown_time_zone_stays_due_and_keeps_nobody_back(bank: Arc<Bank>) {
    // More than are taken up at once, all of them due before the one that can be made.
    const UNKNOWN: i64 = 40;
    let _accounts = bank.serve_accounts().await;
    let [ada, bob] = customers(&bank, 500).await;
    due_days_ago(&bank, &ada, &bob, UNKNOWN, ("No/Where", None)).await;
    let _process = bank.start().await;
    let mut order = daily(200, Timestamp::now() + DAY, "known");
    order.times = Some(1);
    let known = orders(&bank, &ada, order).await.unwrap();
    is_days_ago(&bank, known.id, 1).await;
    came(&bank, &ada, known.id, 1).await;
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);

    let all = all(&bank, &ada).await;
    let unknown: Vec<_> = all.iter().filter(|order| order.id != known.id).collect();
    assert_eq!(unknown.len(), usize::try_from(UNKNOWN).unwrap());
    for order in &unknown {
        assert_eq!(order.time_zone.as_str(), "No/Where");
        assert_eq!((order.state, order.occurrences), (StandingState::Active, 0));
    }
    let cancel = bank.transfers().cancel_standing_order(unknown[0].id);
    let cancelled = cancel.metadata("session", &ada.session).await.unwrap();
    assert_eq!(cancelled.state, StandingState::Cancelled);
}

/// Orders of two days ago, past the service, which lets nobody have so many: in a time zone, and so
/// often.
async fn due_days_ago(
    bank: &Bank,
    from: &Customer,
    to: &Customer,
    orders: i64,
    (time_zone, times): (&str, Option<i64>),
) {
    let database = bank.database().await;
    let insert = "WITH RECURSIVE numbers (n) AS (
            SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
        INSERT INTO standing_orders (id, user_id, idempotency_key, recipient, to_username,
            to_account, amount, first_at, unit, unit_count, time_zone, times, state, next_at,
            created_at)
        SELECT '0190a1b2-c3d4-7e5f-8a9b-' || SUBSTR(CAST(1000000000000 + n AS TEXT), 2), $2,
            CAST(n AS TEXT), 'username bob', 'bob', $3, 1, $4, 'day', 1, $5, CAST($6 AS BIGINT),
            'active', $4, $4
        FROM numbers";
    sqlx::query(insert)
        .bind(orders)
        .bind(from.party.user_id.to_string())
        .bind(to.party.account_number.as_str())
        .bind((Timestamp::now() - DAY - DAY).as_microsecond())
        .bind(time_zone)
        .bind(times)
        .execute(database.pool())
        .await
        .unwrap();
    database.close().await;
}
