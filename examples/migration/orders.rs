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
    #[error("what was to be imported was cut off")]
    CutOff,
    #[error("not available")]
    NotAvailable,
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
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The data of the service, on which old and new programs work while both run. Here they share it as
/// tasks of one process; a real one is a database.
#[derive(Debug, Default)]
pub struct Book(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    orders: Vec<Order>,
    /// The ids of orders that were placed under a key.
    by_key: HashMap<String, u64>,
}

impl Entries {
    fn find(&self, id: u64) -> Option<&Order> {
        self.orders.iter().find(|order| order.id == id)
    }
}

impl Book {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn find(&self, id: u64) -> Option<Order> {
        self.entries().find(id).cloned()
    }

    /// Places an order, once for a key.
    pub(crate) fn place(
        &self,
        sku: String,
        quantity: u32,
        by: Option<String>,
        key: Option<&str>,
    ) -> Result<Order, OrderError> {
        if !(1..=1000).contains(&quantity) {
            return Err(OrderError::InvalidQuantity);
        }
        let mut entries = self.entries();
        let placed = key.and_then(|key| entries.by_key.get(key));
        if let Some(order) = placed.and_then(|id| entries.find(*id)) {
            return Ok(order.clone());
        }
        let id = entries.orders.len() as u64 + 1;
        let order = Order {
            id,
            sku,
            quantity,
            by,
        };
        entries.orders.push(order.clone());
        entries.by_key.extend(key.map(|key| (key.to_owned(), id)));
        Ok(order)
    }

    pub(crate) fn of_sku(&self, sku: &str) -> Vec<Order> {
        let mut orders = self.entries().orders.clone();
        orders.retain(|order| order.sku == sku);
        orders
    }

    /// Takes all of these in; returns how many they are.
    pub(crate) fn import(&self, orders: Vec<Order>) -> u64 {
        let count = orders.len() as u64;
        self.entries().orders.extend(orders);
        count
    }
}

impl Orders for Book {
    async fn get_order(&self, id: u64) -> Result<Order, OrderError> {
        self.find(id).ok_or(OrderError::NotFound { id })
    }

    async fn place_order(&self, sku: String, quantity: u32) -> Result<Order, OrderError> {
        let context = Context::current();
        // What was `request.metadata()`.
        let by = context.metadata().get("user").map(str::to_owned);
        // It is claimed before this runs; the old service knows the keys of the book alone.
        self.place(sku, quantity, by, context.idempotency_key())
    }

    async fn list_orders(&self, sku: String) -> Result<Items<Order, OrderError>, OrderError> {
        let orders = self.of_sku(&sku);
        Ok(Items::new(stream::iter(orders.into_iter().map(Ok))))
    }

    async fn import_orders(&self, mut orders: Items<Order>) -> Result<u64, OrderError> {
        let mut whole = Vec::new();
        while let Some(order) = orders.next().await {
            whole.push(order.map_err(|_| OrderError::CutOff)?);
        }
        Ok(self.import(whole))
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
