//! Callers that go away, connections that break, a database that is not there.

use crate::branch::{Branch, Customer, PATIENCE, amount, key, refusal};
use contracts::{
    Refused, ServiceHealth,
    account::{AccountError, OPENING_BALANCE, TransferPosting},
};
use futures_util::{StreamExt, stream};
use replybus::CallError;
use replybus_testkit::proxy::{Mode, Proxy};
use std::sync::atomic::{AtomicU32, Ordering};
use uuid::Uuid;

/// Calls that are made at once.
const AT_ONCE: usize = 32;

async fn callers_that_go_away_lose_no_acknowledged_posting(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let ada = &ada;
    let called = stream::iter(0..200).map(|n| async move {
        let name = format!("d{n}");
        let patience = rand::random_range(0..200);
        let gone = async {
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
        };
        let answer = tokio::select! {
            answer = ada.deposit(10, &name) => Some(answer.unwrap()),
            () = gone => None,
        };
        (name, answer)
    });
    let called: Vec<_> = called.buffer_unordered(AT_ONCE).collect().await;
    assert!(called.iter().any(|(_, answer)| answer.is_none()));
    let numbers: Vec<_> = called.iter().filter_map(|(_, answer)| *answer).collect();
    for (name, before) in &called {
        let now = ada.deposit(10, name).await.unwrap();
        assert!(before.is_none_or(|before| before == now), "{name}");
    }
    assert_eq!(ada.balance().await, OPENING_BALANCE + 200 * 10);
    // Each answer was of a posting of its own.
    let different: std::collections::HashSet<_> = numbers.iter().collect();
    assert_eq!(different.len(), numbers.len());
}

async fn it_is_up_when_its_parts_are(branch: &Branch) {
    let health = branch.accounts.health().await.unwrap();
    assert_eq!(health, ServiceHealth::new("account-service", true, true));
}

on_each_database! {
    callers_that_go_away_lose_no_acknowledged_posting,
    it_is_up_when_its_parts_are,
}

/// Asks until it is told more than that the books can't be reached.
pub(crate) async fn to_its_fate<T>(
    ask: impl AsyncFn() -> Result<T, CallError<AccountError>>,
) -> Result<T, AccountError> {
    loop {
        match ask().await {
            Ok(value) => return Ok(value),
            Err(CallError::Handler(AccountError::Refused(Refused::Unavailable))) => {}
            Err(CallError::Handler(error)) => return Err(error),
            Err(CallError::Bus(failure)) => panic!("{failure:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_in_the_middle_make_nothing_happen_twice_or_not_at_all() {
    let test = async |branch: &Branch, proxy: &Proxy| {
        let customers: [Customer; 3] = branch.customers().await;
        let customers = &customers;
        let done = AtomicU32::new(0);
        let done = &done;
        let moved = stream::iter(0..400_usize).map(|n| async move {
            let (ada, grace) = (&customers[n % 3], &customers[(n + 1) % 3]);
            if n % 2 == 0 {
                let call = || branch.accounts.deposit(amount(7), key(&format!("d{n}")));
                to_its_fate(async || ada.asks(call()).await).await.unwrap();
            } else {
                let id = Uuid::now_v7();
                to_its_fate(async || branch.post(id, ada, grace, 5).await)
                    .await
                    .unwrap();
            }
            // Others are in the middle of something.
            if done.fetch_add(1, Ordering::Relaxed).is_multiple_of(20) {
                proxy.set(Mode::Cut);
            }
        });
        let moved: Vec<()> = moved.buffer_unordered(AT_ONCE).collect().await;
        assert_eq!(moved.len(), 400);
        let mut sum = 0;
        for customer in customers {
            sum += to_its_fate(async || customer.asks(branch.accounts.balance()).await)
                .await
                .unwrap()
                .balance;
        }
        assert_eq!(sum, 3 * OPENING_BALANCE + 200 * 7);
        assert!(proxy.accepted() > 10, "connections were made again");
    };
    Branch::behind_a_proxy(test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_fell_silent_is_left_for_new_connections() {
    let test = async |branch: &Branch, proxy: &Proxy| {
        let [ada, grace]: [Customer; 2] = branch.customers().await;
        let (ada, grace) = (&ada, &grace);
        proxy.set(Mode::SwallowOld);
        let moved = stream::iter(0..60_usize).map(|n| async move {
            let call = || branch.accounts.deposit(amount(7), key(&format!("d{n}")));
            to_its_fate(async || ada.asks(call()).await).await.unwrap();
            let id = Uuid::now_v7();
            to_its_fate(async || branch.post(id, ada, grace, 5).await)
                .await
                .unwrap();
        });
        let moved: Vec<()> = moved.buffer_unordered(AT_ONCE).collect().await;
        assert_eq!(moved.len(), 60);
        assert_eq!(ada.balance().await, OPENING_BALANCE + 60 * 2);
        assert_eq!(grace.balance().await, OPENING_BALANCE + 60 * 5);
    };
    Branch::behind_a_proxy(test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_that_is_the_answer_and_no_key_remembers_it() {
    let test = async |branch: &Branch, proxy: &Proxy| {
        let [ada, grace]: [Customer; 2] = branch.customers().await;
        let posting = TransferPosting {
            transfer: Uuid::now_v7(),
            from: ada.number.clone(),
            to: grace.number.clone(),
            amount: amount(9),
            reference: None,
        };
        let transfer = || {
            let call = branch.accounts.post_transfer(posting.clone());
            let call = call.idempotency_key("the transfer");
            branch.as_service("transfer-service", call)
        };
        let deposit = || {
            let call = branch.accounts.deposit(amount(4), key("in"));
            ada.asks(call).idempotency_key("the deposit")
        };
        proxy.set(Mode::Refuse);
        let unavailable = AccountError::from(Refused::Unavailable);
        // In the time that callers have, rather than in the test's.
        let in_time = std::time::Duration::from_secs(5);
        let (transferred, deposited, read, health) = tokio::join!(
            transfer().timeout(in_time),
            deposit().timeout(in_time),
            ada.asks(branch.accounts.balance()).timeout(in_time),
            branch.accounts.health(),
        );
        assert_eq!(refusal(transferred), unavailable);
        assert_eq!(refusal(deposited), unavailable);
        assert_eq!(refusal(read), unavailable);
        let down = ServiceHealth::new("account-service", false, true);
        assert_eq!(health.unwrap(), down);

        proxy.set(Mode::Pass);
        to_its_fate(async || transfer().await).await.unwrap();
        let deposited = to_its_fate(async || deposit().await).await.unwrap();
        assert_eq!(deposited.balance, OPENING_BALANCE - 9 + 4);
        assert_eq!(grace.balance().await, OPENING_BALANCE + 9);
        let opened = ada.asks(branch.accounts.me()).timeout(PATIENCE).await;
        assert_eq!(opened.unwrap().balance, OPENING_BALANCE - 9 + 4);
    };
    Branch::behind_a_proxy(test).await;
}
