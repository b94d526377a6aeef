//! No more than so many calls in a time, at either end.

use replybus::{Bus, CallError, FailureKind, Never, layer::RateLimitLayer, queue_handler};
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

#[queue_handler("stock.requests", timeout = "2s")]
trait Stock {
    #[query]
    async fn count(&self) -> Result<u32, Never>;

    async fn note(&self) -> Result<(), Never>;
}

#[derive(Debug, Clone, Default)]
struct Shelf(Arc<AtomicU32>);

impl Stock for Shelf {
    async fn count(&self) -> Result<u32, Never> {
        Ok(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }

    async fn note(&self) -> Result<(), Never> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// The time after which who was refused would have had a turn.
fn turn_after(refused: CallError<Never>) -> Duration {
    let CallError::Bus(failure) = refused;
    failure.retry_after().unwrap()
}

/// Two at once, and one each half second.
fn two_a_second() -> RateLimitLayer {
    RateLimitLayer::new(2, SECOND)
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_client_wait_for_their_turn_or_are_told_when_it_would_be() {
    let bus = Bus::in_memory();
    let shelf = Shelf::default();
    let _serving = bus.serve(StockServer::new(shelf.clone())).await.unwrap();
    let limit = two_a_second();
    let stock = StockClient::new(&bus).layer(limit.clone());
    // Clones share their turns.
    let other = StockClient::new(&bus).layer(limit);

    let began = Instant::now();
    stock.count().await.unwrap();
    other.count().await.unwrap();
    assert!(began.elapsed() < SECOND / 4);
    let (third, fourth) = tokio::join!(stock.count().into_future(), other.count().into_future());
    assert_eq!((third.unwrap(), fourth.unwrap()), (3, 4));
    let took = began.elapsed();
    assert!((SECOND..SECOND * 5 / 4).contains(&took), "{took:?}");

    let waiting = tokio::spawn(stock.count().into_future());
    sleep(SECOND / 10).await;
    let refused = other.count().timeout(SECOND / 2).await.unwrap_err();
    assert_eq!(refused.kind(), Some(FailureKind::Overloaded));
    assert!(!refused.may_have_executed());
    let after = turn_after(refused);
    assert!(after >= SECOND / 2 && after < SECOND, "{after:?}");
    assert_eq!(waiting.await.unwrap().unwrap(), 5);
    sleep(after).await;
    assert_eq!(other.count().await.unwrap(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_service_runs_no_more_than_its_rate_and_refuses_what_would_come_too_late() {
    let bus = Bus::in_memory();
    let shelf = Shelf::default();
    let limited = bus.serve(StockServer::new(shelf.clone()));
    let _serving = limited.layer(two_a_second()).await.unwrap();
    let stock = StockClient::new(&bus);

    let began = Instant::now();
    let calls = (0..4).map(|_| stock.count().timeout(SECOND * 2).into_future());
    let answered = futures_util::future::join_all(calls).await;
    assert!(answered.iter().all(Result::is_ok), "{answered:?}");
    let took = began.elapsed();
    assert!((SECOND..SECOND * 5 / 4).contains(&took), "{took:?}");

    let refused = stock.count().timeout(SECOND / 4).await.unwrap_err();
    assert_eq!(refused.kind(), Some(FailureKind::Overloaded));
    assert!(turn_after(refused) > SECOND / 4);
    assert_eq!(shelf.0.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_waits_in_a_service_and_is_not_lost() {
    let bus = Bus::in_memory();
    let shelf = Shelf::default();
    let limited = bus.serve(StockServer::new(shelf.clone()));
    let _serving = limited.layer(two_a_second()).await.unwrap();
    let stock = StockClient::new(&bus);
    for _ in 0..20 {
        stock.note().send().await.unwrap();
    }
    sleep(SECOND * 5).await;
    let noted = shelf.0.load(Ordering::SeqCst);
    assert!((11..=13).contains(&noted), "{noted}");
    sleep(SECOND * 5).await;
    assert_eq!(shelf.0.load(Ordering::SeqCst), 20);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_to_wait_is_refused_at_once() {
    let bus = Bus::in_memory();
    let _serving = bus.serve(StockServer::new(Shelf::default())).await.unwrap();
    let impatient = RateLimitLayer::new(10, SECOND)
        .burst(1)
        .wait_at_most(Duration::ZERO);
    let stock = StockClient::new(&bus).layer(impatient);
    stock.count().await.unwrap();
    let refused = stock.count().await.unwrap_err();
    assert_eq!(refused.kind(), Some(FailureKind::Overloaded));
    sleep(SECOND / 10).await;
    stock.count().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rates_without_sense_are_rates_all_the_same() {
    let bus = Bus::in_memory();
    let _serving = bus.serve(StockServer::new(Shelf::default())).await.unwrap();
    for (calls, per) in [
        (0, Duration::ZERO),
        (u32::MAX, Duration::MAX),
        (u32::MAX, Duration::ZERO),
    ] {
        let limit = RateLimitLayer::new(calls, per).burst(u32::MAX);
        let stock = StockClient::new(&bus).layer(limit);
        for _ in 0..3 {
            stock.count().await.unwrap();
        }
    }
}
