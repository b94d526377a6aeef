//! The user service: who somebody is, and what they can pay.

mod passwords;
mod routes;
mod table;
mod wallet;

use crate::{
    Platform, ServiceName,
    contracts::{ChargeError, Profile, Unavailable, Users, UsersServer},
    http,
};
use chassis::{Running, database::patiently};
use passwords::Passwords;
use std::net::SocketAddr;
use table::UserTable;
use uuid::Uuid;
use wallet::Wallets;

/// Starts the service.
pub(crate) async fn start(platform: &Platform) -> anyhow::Result<(Running, SocketAddr)> {
    platform.tokens.ensure_signing()?;
    let migrations = chassis::migrations!["0001_users"];
    let database = platform.database("shop_users", &migrations).await?;
    let table = UserTable::new(database.clone());
    let routes = routes::routes(routes::State {
        tokens: platform.tokens.clone(),
        table: table.clone(),
        passwords: Passwords::new()?,
        credit: platform.settings.credit(),
    });
    let wallets = Wallets::new(database.clone());
    let server = UsersServer::new(UserService { table, wallets });
    let life = Running::new().serving(platform.bus.serve(server).await?);
    http::serve(life, platform, ServiceName::UserService, &database, routes).await
}

/// What other services ask.
struct UserService {
    table: UserTable,
    wallets: Wallets,
}

impl Users for UserService {
    async fn profile(&self, user: i64) -> Result<Option<Profile>, Unavailable> {
        let found = patiently(|| self.table.by_id(user)).await;
        found.map_err(|error| Unavailable::of(&error))
    }

    async fn charge(&self, order: Uuid, user: i64, amount: i64) -> Result<(), ChargeError> {
        let charged = patiently(|| self.wallets.charge(order, user, amount)).await;
        charged.map_err(|error| Unavailable::of(&error))?
    }

    async fn refund(&self, order: Uuid) -> Result<(), Unavailable> {
        let refunded = patiently(|| self.wallets.refund(order)).await;
        refunded.map_err(|error| Unavailable::of(&error))
    }
}
