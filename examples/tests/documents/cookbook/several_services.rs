use super::stock::{Outcome, Shelf, StockClient, StockServer};
use replybus::{Event, FailureKind, Never, queue_handler};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

#[queue_handler("prices.requests")]
pub trait Prices {
    #[query]
    async fn price(&self, article: String) -> Result<u32, Never>;
}

struct List;

impl Prices for List {
    async fn price(&self, _: String) -> Result<u32, Never> {
        Ok(90)
    }
}

#[derive(Event, Serialize, Deserialize)]
#[event("order.placed")]
struct OrderPlaced {
    order: u32,
}

static SHIPPED: Notify = Notify::const_new();

async fn ship(order: u32) {
    assert_eq!(order, 17);
    SHIPPED.notify_one();
}

use futures_util::FutureExt as _;
use replybus::Bus;
use std::{error::Error, future::Future, time::Duration};

async fn run(bus: Bus, stop: impl Future<Output = ()>) -> Result<(), Box<dyn Error>> {
    let stock = bus.serve(StockServer::new(Shelf::default())).await?;
    let prices = bus.serve(PricesServer::new(List)).await?;
    let shipping = bus.subscribe("shipping", |placed: OrderPlaced| async move {
        ship(placed.order).await;
    });
    let shipping = shipping.await?;
    let stop = stop.shared(); // one word for all of them
    let ended = tokio::try_join!(
        stock.run_until(stop.clone()),
        prices.run_until(stop.clone()),
        shipping.run_until(stop),
    );
    bus.close(Duration::from_secs(5)).await; // last, also if one of them stopped by itself
    ended?;
    Ok(())
}

#[tokio::test]
async fn two_services_and_a_subscription_end_at_one_word() -> Outcome {
    let bus = Bus::in_memory();
    let (stock, prices) = (StockClient::new(&bus), PricesClient::new(&bus));
    // What a signal is to a program.
    let asked_and_told = async {
        assert_eq!(stock.take("pen".to_owned(), 3).await.unwrap(), 7);
        assert_eq!(prices.price("pen".to_owned()).await.unwrap(), 90);
        let emitted = bus.emit(&OrderPlaced { order: 17 }).mandatory().await;
        emitted.unwrap();
        SHIPPED.notified().await;
    };
    run(bus.clone(), asked_and_told).await?;
    let late = stock.count("pen".to_owned()).await.unwrap_err();
    assert_eq!(late.kind(), Some(FailureKind::Disconnected));
    Ok(())
}
