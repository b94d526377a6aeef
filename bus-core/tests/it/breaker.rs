//! A caller that stops asking what fails.

use replybus::{
    Bus, FailureKind, Never,
    client::{BreakerLayer, CircuitReport, CircuitState},
    limits::{CIRCUIT_FAILURES, CIRCUIT_OPEN_FOR},
    queue_handler,
    reply::memory::MemoryReplies,
    transport::memory::MemoryBroker,
};
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::{advance, sleep};

#[queue_handler("stock.requests", timeout = "1s")]
trait Stock {
    #[query(cache = "300s")]
    async fn name(&self, article: u32) -> Result<u32, Never>;

    #[query]
    async fn count(&self, article: u32) -> Result<u32, String>;

    #[query]
    async fn place(&self) -> Result<(), Never>;

    async fn note(&self) -> Result<(), Never>;
}

/// Answers unless it hangs.
#[derive(Debug, Clone, Default)]
struct Shelf {
    hangs: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
}

impl Shelf {
    async fn answers(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    fn asked(&self) -> u32 {
        self.asked.swap(0, Ordering::SeqCst)
    }
}

impl Stock for Shelf {
    async fn name(&self, article: u32) -> Result<u32, Never> {
        self.answers().await;
        Ok(article)
    }

    async fn count(&self, article: u32) -> Result<u32, String> {
        self.answers().await;
        match article {
            0 => Err("no such article".to_owned()),
            _ => Ok(3),
        }
    }

    async fn place(&self) -> Result<(), Never> {
        self.answers().await;
        Ok(())
    }

    async fn note(&self) -> Result<(), Never> {
        self.answers().await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_were_kept_tell_nothing_of_the_service() {
    let bus = Bus::in_memory();
    let shelf = Shelf::default();
    let _serving = bus.serve(StockServer::new(shelf.clone())).await.unwrap();
    let breaker = BreakerLayer::new();
    let stock = StockClient::new(&bus).layer(breaker.clone());
    stock.name(1).await.unwrap();
    shelf.hangs.store(true, Ordering::SeqCst);
    for article in 2..2 + CIRCUIT_FAILURES {
        assert_eq!(breaker.report()[0].state, CircuitState::Closed);
        let failure = stock.name(article).await.unwrap_err();
        assert_eq!(failure.kind(), Some(FailureKind::TimedOut));
        if article <= CIRCUIT_FAILURES {
            stock.name(1).await.unwrap();
        }
    }
    let state = || breaker.report()[0].state;
    assert!(matches!(state(), CircuitState::Open { .. }));
    advance(CIRCUIT_OPEN_FOR).await;
    stock.name(1).await.unwrap();
    assert!(!matches!(state(), CircuitState::Closed), "{:?}", state());
}

async fn kind_of_count(stock: &StockClient, article: u32) -> Option<FailureKind> {
    stock.count(article).await.err()?.kind()
}

fn of_count(breaker: &BreakerLayer) -> CircuitReport {
    let reports = breaker.report().into_iter();
    let mut of_count = reports.filter(|report| report.method == "count");
    of_count.next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_not_asked_until_it_is_tried_and_answers() {
    let bus = Bus::in_memory();
    let shelf = Shelf::default();
    let serving = bus.serve(StockServer::new(shelf.clone())).await.unwrap();
    let breaker = BreakerLayer::new();
    let stock = StockClient::new(&bus).layer(breaker.clone());
    assert_eq!(kind_of_count(&stock, 1).await, None);

    shelf.hangs.store(true, Ordering::SeqCst);
    for _ in 0..CIRCUIT_FAILURES {
        assert_eq!(kind_of_count(&stock, 1).await, Some(FailureKind::TimedOut));
    }
    shelf.asked();
    let failure = stock.count(1).await.unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::CircuitOpen));
    assert!(!failure.may_have_executed());
    assert_eq!(failure.retry_after(), Some(CIRCUIT_OPEN_FOR));
    assert_eq!(shelf.asked(), 0);
    let report = of_count(&breaker);
    assert_eq!(report.queue, "stock.requests");
    assert_eq!(report.failures, CIRCUIT_FAILURES);
    // Nor is it a matter of the other methods.
    shelf.hangs.store(false, Ordering::SeqCst);
    stock.place().await.unwrap();

    // Still hanging when it is tried.
    shelf.hangs.store(true, Ordering::SeqCst);
    advance(CIRCUIT_OPEN_FOR).await;
    shelf.asked();
    let tries = tokio::spawn(stock.count(1).into_future());
    sleep(Duration::from_millis(1)).await;
    assert_eq!(of_count(&breaker).state, CircuitState::HalfOpen);
    let beside = stock.count(1).await.unwrap_err();
    assert_eq!(beside.kind(), Some(FailureKind::CircuitOpen));
    assert_eq!(beside.retry_after(), None);
    let tried = tries.await.unwrap().unwrap_err();
    assert_eq!(tried.kind(), Some(FailureKind::TimedOut));
    assert_eq!(shelf.asked(), 1);
    assert!(matches!(
        of_count(&breaker).state,
        CircuitState::Open { .. }
    ));

    // A caller that leaves in the middle of it makes way.
    advance(CIRCUIT_OPEN_FOR).await;
    let leaves = tokio::spawn(stock.count(1).into_future());
    sleep(Duration::from_millis(1)).await;
    leaves.abort();
    assert!(leaves.await.unwrap_err().is_cancelled());
    shelf.hangs.store(false, Ordering::SeqCst);
    assert_eq!(kind_of_count(&stock, 1).await, None);
    assert_eq!(of_count(&breaker).state, CircuitState::Closed);
    serving.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_of_handlers_and_of_callers_are_no_failures_of_the_service() {
    let bus = Bus::in_memory();
    let serving = bus.serve(StockServer::new(Shelf::default()));
    let serving = serving.await.unwrap();
    let breaker = BreakerLayer::new().failures(2);
    let stock = StockClient::new(&bus).layer(breaker.clone());
    for _ in 0..5 {
        assert!(stock.count(0).await.unwrap_err().into_handler().is_ok());
        let unsendable = stock.count(1).idempotency_key("").await.unwrap_err();
        assert_eq!(unsendable.kind(), Some(FailureKind::NotSent));
    }
    assert_eq!(of_count(&breaker).state, CircuitState::Closed);
    serving.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_or_submitted_is_kept_by_the_queue_and_passes() {
    let bus = Bus::in_memory();
    let shelf = Shelf::default();
    let serving = bus.serve(StockServer::new(shelf.clone())).await.unwrap();
    let breaker = BreakerLayer::new().failures(1);
    let stock = StockClient::new(&bus).layer(breaker.clone());
    shelf.hangs.store(true, Ordering::SeqCst);
    assert!(stock.note().await.is_err());
    assert!(stock.note().await.unwrap_err().retry_after().is_some());
    shelf.hangs.store(false, Ordering::SeqCst);
    stock.note().send().await.unwrap();
    let ticket = stock.note().submit().await.unwrap();
    ticket.wait(&bus).await.unwrap();
    assert!(breaker.reset("stock.requests", "note"));
    assert!(!breaker.reset("stock.requests", "note"));
    stock.note().await.unwrap();
    drop(serving);
}

#[tokio::test(start_paused = true)]
async fn a_layer_of_the_bus_is_around_all_of_its_clients_and_within_their_own() {
    let breaker = BreakerLayer::new().failures(2);
    let builder = Bus::builder().client_layer(breaker.clone());
    let bus = builder
        .connect(MemoryBroker::new(), MemoryReplies::new())
        .await
        .unwrap();
    let (one, other) = (
        StockClient::new(&bus),
        StockClient::new(&bus).on_queue("stock.vienna"),
    );
    for stock in [&one, &other, &other.clone()] {
        assert!(stock.count(1).await.is_err());
    }
    let failures: Vec<_> = breaker
        .report()
        .into_iter()
        .map(|report| (report.queue, report.failures, report.state.as_str()))
        .collect();
    let expected = [
        ("stock.requests".to_owned(), 1, "closed"),
        ("stock.vienna".to_owned(), 2, "open"),
    ];
    assert_eq!(failures, expected);
    assert_eq!(breaker.reset_all(), 1);
}
