//! The old service: tonic's, beside the data.

use super::{
    messages::{GetOrderRequest, ImportOrdersReply, ListOrdersRequest, Order, PlaceOrderRequest},
    proto::orders_server::Orders,
    serve,
};
use crate::migration::{
    orders::{Book, OrderError},
    place::Place,
    program::Program,
};
use futures_util::{StreamExt as _, stream};
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

struct OldOrders {
    book: Arc<Book>,
}

#[tonic::async_trait]
impl Orders for OldOrders {
    async fn get_order(
        &self,
        request: Request<GetOrderRequest>,
    ) -> Result<Response<Order>, Status> {
        let id = request.into_inner().id;
        let order = self.book.find(id).ok_or(OrderError::NotFound { id })?;
        Ok(Response::new(order.into()))
    }

    async fn place_order(
        &self,
        request: Request<PlaceOrderRequest>,
    ) -> Result<Response<Order>, Status> {
        let user = request.metadata().get("user");
        let by = user.and_then(|user| user.to_str().ok()).map(str::to_owned);
        let PlaceOrderRequest { sku, quantity, key } = request.into_inner();
        let key = Some(key.as_str()).filter(|key| !key.is_empty());
        let order = self.book.place(sku, quantity, by, key)?;
        Ok(Response::new(order.into()))
    }

    type ListOrdersStream = stream::BoxStream<'static, Result<Order, Status>>;

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<Self::ListOrdersStream>, Status> {
        let orders = self.book.of_sku(&request.into_inner().sku);
        let orders = stream::iter(orders).map(|order| Ok(order.into()));
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
        let count = self.book.import(whole);
        Ok(Response::new(ImportOrdersReply { count }))
    }
}

pub(crate) fn start(place: &Place) -> anyhow::Result<Program> {
    let book = Arc::clone(&place.book);
    let incoming = place.grpc_server()?;
    Ok(Program::run(|stop| {
        serve(OldOrders { book }, incoming, stop)
    }))
}
