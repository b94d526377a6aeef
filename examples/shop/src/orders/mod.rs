//! The order service: who buys what.

mod articles;
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
};
use articles::ArticleView;
use chassis::Running;
use recovery::Recovery;
use replybus_sql::{Outbox, Relay};
use saga::Saga;
use std::net::SocketAddr;
use table::OrderTable;

/// Starts the service.
pub(crate) async fn start(platform: &Platform) -> anyhow::Result<(Running, SocketAddr)> {
    let migrations = chassis::migrations![
        "0001_orders",
        "0002_orders_outbox_postgres",
        "0003_orders_outbox_sqlite",
        "0004_orders_articles",
    ];
    let database = platform.database("shop_orders", &migrations).await?;
    let (bus, outbox) = (&platform.bus, Outbox::new());
    let table = OrderTable::new(database.clone(), outbox.clone());
    // Before a group first subscribed nobody would get an event: it is kept till then. What says no
    // name is of a version before `replybus-sql`.
    let relay = Relay::new(&platform.bus, &outbox, &database)
        .mandatory()
        .unnamed::<OrderCreated>();
    let saga = Saga {
        table: table.clone(),
        products: ProductsClient::new(bus),
        users: UsersClient::new(bus),
        outbox,
    };
    let recovery = Recovery {
        table: table.clone(),
        saga: saga.clone(),
    };
    let articles = ArticleView::new(database.clone());
    let life = articles.follow(bus, Running::new()).await?;
    let routes = routes::routes(routes::State {
        tokens: platform.tokens.clone(),
        table,
        saga,
        articles,
        notifications: NotificationsClient::new(bus),
    });
    let life = life
        .beside(|stop| recovery.run(stop))
        .beside(|stop| relay.run_until(stop.cancelled_owned()));
    http::serve(life, platform, ServiceName::OrderService, &database, routes).await
}
