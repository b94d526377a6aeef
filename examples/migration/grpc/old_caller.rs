//! The old caller. A connection that ends because a server stops does not tell whether a request on it
//! was served, so what is not an answer is asked for again, under the same key.

use super::{
    messages::{GetOrderRequest, ListOrdersRequest, Order, PlaceOrderRequest},
    proto::orders_client::OrdersClient,
};
use crate::migration::{place::Place, stages::Calls};
use anyhow::ensure;
use futures_util::TryStreamExt as _;
use replybus::CallId;
use std::{future::Future, time::Duration};
use tokio::time::{Instant, sleep};
use tonic::{Code, Request, Status, transport::Channel};

/// The time that an order has.
const PLACED_WITHIN: Duration = Duration::from_secs(2);
/// The time in which a request is answered that is made again while servers come and go.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub(crate) struct Caller(OrdersClient<Channel>);

impl Caller {
    pub(crate) async fn connect(place: &Place) -> anyhow::Result<Self> {
        Ok(Self(OrdersClient::connect(place.grpc_url()?).await?))
    }

    async fn place(&self, order: PlaceOrderRequest) -> Result<Order, Status> {
        let mut request = Request::new(order);
        request.set_timeout(PLACED_WITHIN);
        let placed = self.0.clone().place_order(request).await?;
        Ok(placed.into_inner())
    }

    async fn get(&self, id: u64) -> Result<Order, Status> {
        let order = self.0.clone().get_order(GetOrderRequest { id }).await?;
        Ok(order.into_inner())
    }

    async fn listed(&self, sku: &str) -> Result<Vec<Order>, Status> {
        let sku = sku.to_owned();
        let listed = self
            .0
            .clone()
            .list_orders(ListOrdersRequest { sku })
            .await?;
        listed.into_inner().try_collect().await
    }

    /// Imports orders; returns how many there were.
    pub(crate) async fn import(
        &self,
        orders: impl futures_util::Stream<Item = Order> + Send + 'static,
    ) -> Result<u64, Status> {
        let imported = self.0.clone().import_orders(orders).await?;
        Ok(imported.into_inner().count)
    }
}

impl Calls for Caller {
    const REFUSAL: &'static str = "there is no order 0";

    async fn once_more(&self, account: &str) -> anyhow::Result<i64> {
        let order = PlaceOrderRequest {
            sku: account.to_owned(),
            quantity: 1,
            key: CallId::new().to_string(),
        };
        let placed = answered(|| self.place(order.clone())).await?;
        ensure!(answered(|| self.get(placed.id)).await? == placed);
        let listed = answered(|| self.listed(account)).await?;
        ensure!(listed.last() == Some(&placed), "{placed:?} is not the last");
        Ok(i64::try_from(listed.len())?)
    }

    async fn refused(&self) -> anyhow::Result<String> {
        match answered(|| self.get(0)).await {
            Err(status) => Ok(status.message().to_owned()),
            Ok(order) => anyhow::bail!("{order:?}"),
        }
    }
}

async fn answered<T, F>(ask: impl Fn() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let until = Instant::now() + ANSWERED_WITHIN;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(status) if is_answer(&status) || Instant::now() > until => return Err(status),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

fn is_answer(status: &Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::InvalidArgument)
}
