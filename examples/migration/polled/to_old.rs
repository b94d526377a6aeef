//! New callers reach the old workers: a service that keeps the contract by asking them, with the
//! producer's own code.

use super::producer::{Producer, Reply};
use crate::migration::{
    contract::{Accounts, AccountsError, AccountsServer},
    place::Place,
    program::Program,
};

use replybus::Context;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

struct OldWorkers(Producer);

impl Accounts for OldWorkers {
    async fn balance(&self, account: String) -> Result<i64, AccountsError> {
        let request = json!({"method": "balance", "account": account});
        self.ask(&request).await
    }

    async fn deposit(&self, account: String, amount: i64) -> Result<i64, AccountsError> {
        let request = json!({"method": "deposit", "account": account, "amount": amount});
        self.ask(&request).await
    }
}

impl OldWorkers {
    async fn ask(&self, request: &Value) -> Result<i64, AccountsError> {
        let context = Context::current();
        // The same for each run of one call, for old workers that know what they have done.
        let id = match context.call_id() {
            Some(id) => format!("bridge-{id}"),
            None => return Err(AccountsError::NotAvailable),
        };
        let time = context.remaining().unwrap_or(Duration::from_secs(600));
        match timeout(time, self.0.call(&id, request)).await {
            Ok(Ok(Reply::Ok(balance))) => Ok(balance),
            Ok(Ok(Reply::Error(error))) => Err(error),
            Ok(Err(_)) | Err(_) => Err(AccountsError::NotAvailable),
        }
    }
}

pub(crate) async fn start(place: &Place) -> anyhow::Result<Program> {
    let bus = place.bus().await?;
    let old = OldWorkers(Producer::connect(place).await?);
    let serving = bus.serve(AccountsServer::new(old));
    let serving = serving.on_queue(place.new_queue()).await?;
    Ok(Program::run(|stop| async move {
        serving.run_until(stop).await?;
        bus.close(Duration::from_secs(5)).await;
        Ok(())
    }))
}
