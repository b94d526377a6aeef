//! Many calls at once, with one result for each.

use crate::bank::{AccountsClient, AccountsServer, Ledger, Refused};
use replybus::{Bus, CallError, FailureKind, Never, join, limits::JOINED_AT_ONCE, queue_handler};
use replybus_testkit::wait::eventually;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Semaphore;

#[queue_handler("gate.requests", concurrency = 1024, prefetch = 2048, timeout = "60s")]
trait Gate {
    #[query]
    async fn pass(&self, number: usize) -> Result<usize, Never>;
}

/// Lets some pass.
#[derive(Clone)]
struct Guard {
    came: Arc<AtomicUsize>,
    inside: Arc<AtomicUsize>,
    open: Arc<Semaphore>,
}

impl Guard {
    fn new(open: usize) -> Self {
        Self {
            came: Arc::default(),
            inside: Arc::default(),
            open: Arc::new(Semaphore::new(open)),
        }
    }
}

/// One that is inside, until it is dropped.
struct Inside(Arc<AtomicUsize>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Gate for Guard {
    async fn pass(&self, number: usize) -> Result<usize, Never> {
        self.came.fetch_add(1, Ordering::SeqCst);
        self.inside.fetch_add(1, Ordering::SeqCst);
        let _inside = Inside(Arc::clone(&self.inside));
        self.open.acquire().await.unwrap().forget();
        Ok(number)
    }
}

#[tokio::test]
async fn more_calls_than_are_under_way_at_once_are_answered_in_order() {
    let bus = Bus::in_memory();
    let guard = Guard::new(Semaphore::MAX_PERMITS / 2);
    let _serving = bus.serve(GateServer::new(guard.clone())).await.unwrap();
    let gate = GateClient::new(&bus);
    let count = 2 * JOINED_AT_ONCE + 1;
    let answers = join((0..count).map(|number| gate.pass(number))).await;
    let answers = answers.into_iter().map(Result::unwrap);
    assert!(answers.eq(0..count));
}

#[tokio::test]
async fn one_that_fails_fails_alone() {
    let bus = Bus::in_memory();
    let _serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    let accounts = AccountsClient::new(&bus);
    let names = ["ada", "nobody", "bob"];
    let calls = names.map(|name| accounts.balance(name.to_owned(), 5));
    let answers = join(calls).await;
    assert!(matches!(answers[0], Ok(5)) && matches!(answers[2], Ok(5)));
    assert!(matches!(
        answers[1],
        Err(CallError::Handler(Refused::NoAccount(_)))
    ));
    let none: [replybus::Call<Result<i64, Refused>>; 0] = [];
    assert!(join(none).await.is_empty());
}

#[tokio::test]
async fn without_a_service_each_says_so() {
    let bus = Bus::in_memory();
    let gate = GateClient::new(&bus);
    let answers = join((0..3).map(|number| gate.pass(number))).await;
    let kinds = answers
        .iter()
        .map(|answer| answer.as_ref().unwrap_err().kind());
    assert!(kinds.eq([Some(FailureKind::Unroutable); 3]));
}

#[tokio::test]
async fn a_slow_one_holds_up_no_other() {
    let bus = Bus::in_memory();
    // The first waits for the last.
    let count = JOINED_AT_ONCE + 100;
    let guard = Guard::new(count - 1);
    let _serving = bus.serve(GateServer::new(guard.clone())).await.unwrap();
    let gate = GateClient::new(&bus);
    let joined = tokio::spawn(join((0..count).map(move |number| gate.pass(number))));
    eventually("all but one are answered", || async {
        let came = guard.came.load(Ordering::SeqCst);
        came == count && guard.inside.load(Ordering::SeqCst) == 1
    })
    .await;
    guard.open.add_permits(1);
    assert_eq!(joined.await.unwrap().len(), count);
}

#[tokio::test]
async fn dropped_it_drops_them_all_and_makes_no_more() {
    let bus = Bus::in_memory();
    let guard = Guard::new(0);
    let _serving = bus.serve(GateServer::new(guard.clone())).await.unwrap();
    let gate = GateClient::new(&bus);
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let calls = (0..10_000).map(move |number| {
        count.fetch_add(1, Ordering::SeqCst);
        gate.pass(number)
    });
    let joined = tokio::spawn(join(calls));
    eventually("as many as may be are under way", || async {
        bus.health().calls_waiting == JOINED_AT_ONCE
    })
    .await;
    joined.abort();
    assert!(joined.await.unwrap_err().is_cancelled());
    assert_eq!(bus.health().calls_waiting, 0);
    assert_eq!(made.load(Ordering::SeqCst), JOINED_AT_ONCE);
}
