//! The data of the service. Old and new programs work on the same while both run: here it is a hash
//! in Redis, whose increments are atomic; a real one is a database.

use super::contract::{Accounts, AccountsError};
use redis::{RedisResult, aio::MultiplexedConnection, cmd};

#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) redis: MultiplexedConnection,
    pub(crate) key: String,
}

impl Ledger {
    pub(crate) async fn read(&self, account: &str) -> RedisResult<Option<i64>> {
        let mut redis = self.redis.clone();
        let mut read = cmd("HGET");
        read.arg(&self.key).arg(account);
        read.query_async(&mut redis).await
    }

    pub(crate) async fn add(&self, account: &str, amount: i64) -> RedisResult<i64> {
        let mut redis = self.redis.clone();
        let mut add = cmd("HINCRBY");
        add.arg(&self.key).arg(account).arg(amount);
        add.query_async(&mut redis).await
    }
}

/// The new service.
impl Accounts for Ledger {
    async fn balance(&self, account: String) -> Result<i64, AccountsError> {
        let balance = self.read(&account).await;
        let balance = balance.map_err(|_| AccountsError::NotAvailable)?;
        balance.ok_or(AccountsError::NoAccount)
    }

    async fn deposit(&self, account: String, amount: i64) -> Result<i64, AccountsError> {
        let balance = self.add(&account, amount).await;
        balance.map_err(|_| AccountsError::NotAvailable)
    }
}
