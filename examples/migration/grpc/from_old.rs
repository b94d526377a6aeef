//! Old callers reach the new service: tonic's server stays, without a database, and calls.

use super::{
    messages::{GetOrderRequest, ImportOrdersReply, ListOrdersRequest, Order, PlaceOrderRequest},
    proto::orders_server::Orders,
    serve,
};
use crate::migration::{
    orders::{OrderError, OrdersClient},
    place::Place,
    program::Program,
};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use std::time::Duration;
use tokio::task::yield_now;
use tonic::{Request, Response, Status, Streaming};

use replybus::{Bus, CallError, error::FailureKind};

struct Bridge {
    orders: OrdersClient,
}

fn status(error: CallError<OrderError>) -> Status {
    match error {
        CallError::Handler(error) => error.into(),
        CallError::Bus(failure) if failure.kind() == FailureKind::TimedOut => {
            Status::deadline_exceeded(failure.to_string())
        }
        CallError::Bus(failure) => Status::unavailable(failure.to_string()),
    }
}

#[tonic::async_trait]
impl Orders for Bridge {
    async fn get_order(
        &self,
        request: Request<GetOrderRequest>,
    ) -> Result<Response<Order>, Status> {
        let id = request.into_inner().id;
        let order = self.orders.get_order(id).await.map_err(status)?;
        Ok(Response::new(order.into()))
    }

    async fn place_order(
        &self,
        request: Request<PlaceOrderRequest>,
    ) -> Result<Response<Order>, Status> {
        let (metadata, _, order) = request.into_parts();
        let mut placing = self.orders.place_order(order.sku, order.quantity);
        if !order.key.is_empty() {
            placing = placing.idempotency_key(order.key);
        }
        if let Some(Ok(user)) = metadata.get("user").map(|user| user.to_str()) {
            placing = placing.metadata("user", user);
        }
        let order = placing.await.map_err(status)?;
        Ok(Response::new(order.into()))
    }

    type ListOrdersStream = BoxStream<'static, Result<Order, Status>>;

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<Self::ListOrdersStream>, Status> {
        let listed = self.orders.list_orders(request.into_inner().sku);
        let orders = listed.await.map_err(status)?;
        let orders = orders.map(|order| order.map(Order::from).map_err(status));
        Ok(Response::new(orders.boxed()))
    }

    async fn import_orders(
        &self,
        request: Request<Streaming<Order>>,
    ) -> Result<Response<ImportOrdersReply>, Status> {
        let mut orders = request.into_inner();
        let mut whole = Vec::new();
        while let Some(order) = orders.message().await? {
            whole.push(order.into());
        }
        // tonic tells of a caller that has left in mid-stream as of one that has come to its end.
        // This future is dropped then, the next time that it waits.
        yield_now().await;
        let importing = self.orders.import_orders(stream::iter(whole));
        let count = importing.await.map_err(status)?;
        Ok(Response::new(ImportOrdersReply { count }))
    }
}

fn bridge(bus: &Bus, place: &Place) -> Bridge {
    let orders = OrdersClient::new(bus).on_queue(place.new_queue());
    Bridge { orders }
}

pub(crate) async fn start(place: &Place) -> anyhow::Result<Program> {
    let bus = place.bus().await?;
    let bridge = bridge(&bus, place);
    let incoming = place.grpc_server()?;
    Ok(Program::run(|stop| async move {
        serve(bridge, incoming, stop).await?;
        bus.close(Duration::from_secs(5)).await;
        Ok(())
    }))
}
