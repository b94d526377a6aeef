//! The product service: what is sold, and how much of it is left.

mod cache;
mod reservations;
mod routes;
mod table;

use crate::{
    Platform, ServiceName,
    contracts::{Products, ProductsServer, ReserveError, Reserved, Stock, Unavailable},
    http,
};
use cache::ProductCache;
use chassis::{Running, database::patiently};
use reservations::Reservations;
use std::net::SocketAddr;
use table::ProductTable;
use uuid::Uuid;

/// Starts the service.
pub(crate) async fn start(platform: &Platform) -> anyhow::Result<(Running, SocketAddr)> {
    let migrations = chassis::migrations!["0001_products"];
    let database = platform.database("shop_products", &migrations).await?;
    let table = ProductTable::new(database.clone());
    let cache = ProductCache::new(platform);
    let routes = routes::routes(routes::State {
        tokens: platform.tokens.clone(),
        table: table.clone(),
        cache: cache.clone(),
    });
    let reservations = Reservations::new(database.clone());
    let server = ProductsServer::new(ProductService {
        table,
        reservations,
        cache,
    });
    let life = Running::new().serving(platform.bus.serve(server).await?);
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
