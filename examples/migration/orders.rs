//! A contract that was a `.proto`, with a method of each kind.

use replybus::{Context, queue_handler, stream::Items};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: u64,
    pub sku: String,
    pub quantity: u32,
    pub by: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum OrderError {
    #[error("there is no order {id}")]
    NotFound { id: u64 },
    #[error("a quantity is 1 to 1000")]
    InvalidQuantity,
}

#[queue_handler("orders.requests", timeout = "2s")]
pub trait Orders {
    #[query]
    async fn get_order(&self, id: u64) -> Result<Order, OrderError>;

    async fn place_order(&self, sku: String, quantity: u32) -> Result<Order, OrderError>;

    #[stream]
    async fn list_orders(&self, sku: String) -> Result<Items<Order, OrderError>, OrderError>;

    #[command(timeout = "5m")]
    async fn import_orders(&self, #[stream] orders: Items<Order>) -> Result<u64, OrderError>;
}

use futures_util::stream;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub struct Book(Mutex<Vec<Order>>);

impl Book {
    fn orders(&self) -> MutexGuard<'_, Vec<Order>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Orders for Book {
    async fn get_order(&self, id: u64) -> Result<Order, OrderError> {
        let orders = self.orders();
        let order = orders.iter().find(|order| order.id == id);
        order.cloned().ok_or(OrderError::NotFound { id })
    }

    async fn place_order(&self, sku: String, quantity: u32) -> Result<Order, OrderError> {
        if !(1..=1000).contains(&quantity) {
            return Err(OrderError::InvalidQuantity);
        }
        // What was `request.metadata()`.
        let by = Context::current().metadata().get("user").map(str::to_owned);
        let mut orders = self.orders();
        let id = orders.len() as u64 + 1;
        let order = Order {
            id,
            sku,
            quantity,
            by,
        };
        orders.push(order.clone());
        Ok(order)
    }

    async fn list_orders(&self, sku: String) -> Result<Items<Order, OrderError>, OrderError> {
        let mut orders = self.orders().clone();
        orders.retain(|order| order.sku == sku);
        Ok(Items::new(stream::iter(orders.into_iter().map(Ok))))
    }

    async fn import_orders(&self, mut orders: Items<Order>) -> Result<u64, OrderError> {
        let mut count = 0;
        while let Some(Ok(order)) = orders.next().await {
            self.orders().push(order);
            count += 1;
        }
        Ok(count)
    }
}

/// Calls each of them, as a caller of the `.proto` did.
pub(crate) async fn call(bus: &replybus::Bus) -> Result<(), Box<dyn std::error::Error>> {
    use replybus::CallError;
    use std::time::Duration;

    let orders = OrdersClient::new(bus);
    let placed = orders
        .place_order("pen".to_owned(), 3)
        .metadata("user", "ada") // request.metadata_mut().insert(..)
        .timeout(Duration::from_secs(1)) // request.set_timeout(..)
        .idempotency_key("order-17") // new: asked again, it is placed once
        .await?;
    match orders.get_order(7).await {
        Ok(order) => println!("{order:?}"),
        Err(CallError::Handler(OrderError::NotFound { id })) => println!("no order {id}"), // NotFound
        Err(CallError::Handler(error)) => println!("{error}"),
        Err(CallError::Bus(failure)) => println!("{:?}", failure.kind()), // Code::Unavailable ..
    }
    let mut listed = orders.list_orders("pen".to_owned()).await?;
    while let Some(order) = listed.next().await {
        assert_eq!(order?, placed);
    }
    let copies = stream::iter(vec![placed.clone(); 3]);
    assert_eq!(orders.import_orders(copies).await?, 3);
    Ok(())
}
