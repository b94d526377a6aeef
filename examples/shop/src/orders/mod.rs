//! The order service: who buys what.

mod dashboard;
mod order;
mod recovery;
mod routes;
mod saga;
mod table;

use crate::{
    Platform, ServiceName,
    contracts::{NotificationsClient, OrderCreated, ProductsClient, UsersClient},
    http,
    outbox::Outbox,
};
use chassis::Running;
use recovery::Recovery;
use saga::Saga;
use std::{marker::PhantomData, net::SocketAddr, sync::Arc};
use table::OrderTable;
use tokio::sync::Notify;

/// Starts the service.
pub(crate) async fn start(platform: &Platform) -> anyhow::Result<(Running, SocketAddr)> {
    let migrations = chassis::migrations!["0001_orders"];
    let database = platform.database("shop_orders", &migrations).await?;
    let (bus, table) = (&platform.bus, OrderTable::new(database.clone()));
    let outbox = Outbox::<OrderCreated> {
        database: database.clone(),
        bus: bus.clone(),
        filled: Arc::new(Notify::new()),
        of: PhantomData,
    };
    let saga = Saga {
        table: table.clone(),
        products: ProductsClient::new(bus),
        users: UsersClient::new(bus),
        told: Arc::clone(&outbox.filled),
    };
    let recovery = Recovery {
        table: table.clone(),
        saga: saga.clone(),
    };
    let routes = routes::routes(routes::State {
        tokens: platform.tokens.clone(),
        table,
        saga,
        notifications: NotificationsClient::new(bus),
    });
    let life = Running::new()
        .beside(|stop| recovery.run(stop))
        .beside(|stop| outbox.run(stop));
    http::serve(life, platform, ServiceName::OrderService, &database, routes).await
}
