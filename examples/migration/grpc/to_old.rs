//! New callers reach the old service: a service that keeps the contract by asking it, with tonic's
//! client.

use super::{
    messages::{GetOrderRequest, ListOrdersRequest, Order as Message, PlaceOrderRequest},
    proto::orders_client::OrdersClient,
};
use crate::migration::{
    orders::{Order, OrderError, Orders, OrdersServer},
    place::Place,
    program::Program,
};
use futures_util::{TryStreamExt as _, stream};
use replybus::stream::Items;
use std::time::Duration;
use tonic::{Request, Status, transport::Channel};

use replybus::Context;

/// A request that has the time which is left to the call, and says whose it is.
fn request<T>(message: T) -> Request<T> {
    let context = Context::current();
    let mut request = Request::new(message);
    if let Some(time) = context.remaining() {
        request.set_timeout(time);
    }
    // Metadata of gRPC is ASCII; other text would need a name that ends with "-bin".
    if let Some(Ok(user)) = context.metadata().get("user").map(str::parse) {
        request.metadata_mut().insert("user", user);
    }
    request
}

/// What is the same for each run of a call: gRPC can't say whether one that failed was done.
fn key() -> Option<String> {
    let context = Context::current();
    let id = || context.call_id().map(|id| id.to_string());
    context.idempotency_key().map(str::to_owned).or_else(id)
}

/// What is no answer is no outcome either: whoever asks again under its key asks the old service, which
/// knows it.
fn not_placed(status: &Status) -> OrderError {
    let error = OrderError::of(status);
    if error == OrderError::NotAvailable {
        Context::current().release_key();
    }
    error
}

struct OldService(OrdersClient<Channel>);

impl Orders for OldService {
    async fn get_order(&self, id: u64) -> Result<Order, OrderError> {
        let mut old = self.0.clone();
        let order = old.get_order(request(GetOrderRequest { id })).await;
        let order = order.map_err(|status| OrderError::of_order(id, &status))?;
        Ok(order.into_inner().into())
    }

    async fn place_order(&self, sku: String, quantity: u32) -> Result<Order, OrderError> {
        let mut old = self.0.clone();
        let key = key().ok_or(OrderError::NotAvailable)?;
        let placed = old.place_order(request(PlaceOrderRequest { sku, quantity, key }));
        let order = placed.await.map_err(|status| not_placed(&status))?;
        Ok(order.into_inner().into())
    }

    async fn list_orders(&self, sku: String) -> Result<Items<Order, OrderError>, OrderError> {
        let mut old = self.0.clone();
        let listed = old.list_orders(request(ListOrdersRequest { sku })).await;
        let orders = listed
            .map_err(|status| OrderError::of(&status))?
            .into_inner();
        let orders = orders.map_ok(Order::from);
        Ok(Items::new(
            orders.map_err(|status: Status| OrderError::of(&status)),
        ))
    }

    async fn import_orders(&self, mut orders: Items<Order>) -> Result<u64, OrderError> {
        // Nothing is sent before all is here: tonic tells its service of a caller that leaves in
        // mid-stream as of one that has come to its end.
        let mut whole = Vec::new();
        while let Some(order) = orders.next().await {
            let order = order.map_err(|_| OrderError::CutOff)?;
            whole.push(Message::from(order));
        }
        let mut old = self.0.clone();
        let imported = old.import_orders(request(stream::iter(whole))).await;
        let imported = imported.map_err(|status| OrderError::of(&status))?;
        Ok(imported.into_inner().count)
    }
}

pub(crate) async fn start(place: &Place) -> anyhow::Result<Program> {
    let bus = place.bus().await?;
    let old = OldService(OrdersClient::connect(place.grpc_url()?).await?);
    let serving = bus.serve(OrdersServer::new(old));
    let serving = serving.on_queue(place.new_queue()).await?;
    Ok(Program::run(|stop| async move {
        serving.run_until(stop).await?;
        bus.close(Duration::from_secs(5)).await;
        Ok(())
    }))
}
