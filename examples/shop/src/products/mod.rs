//! The product service: what is sold, how much of it is left, and what is written about it.

mod articles;
mod cache;
mod reservations;
mod routes;
mod table;

use crate::{
    Platform, ServiceName,
    contracts::{Products, ProductsServer, ReserveError, Reserved, Stock, Unavailable},
    http,
};
use articles::ArticleTable;
use cache::ProductCache;
use chassis::{Running, database::patiently};
use replybus_sql::{Outbox, Relay};
use reservations::Reservations;
use std::net::SocketAddr;
use table::ProductTable;
use uuid::Uuid;

/// Starts the service.
pub(crate) async fn start(platform: &Platform) -> anyhow::Result<(Running, SocketAddr)> {
    let migrations = chassis::migrations![
        "0001_products",
        "0002_products_articles",
        "0003_products_outbox_postgres",
        "0004_products_outbox_sqlite",
    ];
    let database = platform.database("shop_products", &migrations).await?;
    let (bus, outbox) = (&platform.bus, Outbox::new());
    // Kept until somebody is there to be told, as events of orders are.
    let relay = Relay::new(bus, &outbox, &database).mandatory();
    let table = ProductTable::new(database.clone(), outbox.clone());
    let cache = ProductCache::new(platform);
    let routes = routes::routes(routes::State {
        tokens: platform.tokens.clone(),
        table: table.clone(),
        cache: cache.clone(),
    });
    let routes = routes.merge(articles::routes(articles::State {
        tokens: platform.tokens.clone(),
        table: ArticleTable::new(database.clone(), outbox),
    }));
    let reservations = Reservations::new(database.clone());
    let server = ProductsServer::new(ProductService {
        table,
        reservations,
        cache,
    });
    let life = Running::new()
        .serving(bus.serve(server).await?)
        .beside(|stop| relay.run_until(stop.cancelled_owned()));
    http::serve(
        life,
        platform,
        ServiceName::ProductService,
        &database,
        routes,
    )
    .await
}

/// What other services ask.
struct ProductService {
    table: ProductTable,
    reservations: Reservations,
    cache: ProductCache,
}

impl Products for ProductService {
    async fn stock(&self) -> Result<Stock, Unavailable> {
        let stock = patiently(|| self.table.stock()).await;
        stock.map_err(|error| Unavailable::of(&error))
    }

    async fn reserve(
        &self,
        order: Uuid,
        product: i64,
        quantity: i64,
    ) -> Result<Reserved, ReserveError> {
        let reserved = patiently(|| self.reservations.reserve(order, product, quantity)).await;
        let reserved = reserved.map_err(|error| Unavailable::of(&error))??;
        self.cache.invalidate(product).await;
        Ok(reserved)
    }

    async fn confirm(&self, order: Uuid) -> Result<(), Unavailable> {
        let confirmed = patiently(|| self.reservations.confirm(order)).await;
        confirmed.map_err(|error| Unavailable::of(&error))
    }

    async fn release(&self, order: Uuid) -> Result<(), Unavailable> {
        let released = patiently(|| self.reservations.release(order)).await;
        let released = released.map_err(|error| Unavailable::of(&error))?;
        if let Some(product) = released {
            self.cache.invalidate(product).await;
        }
        Ok(())
    }
}
