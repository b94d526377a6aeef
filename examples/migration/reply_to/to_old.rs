//! New callers reach the old workers: a service that keeps the contract by asking them, with the old
//! caller's own code.

use super::caller::{Caller, Request};
use crate::migration::{
    contract::{Accounts, AccountsError, AccountsServer},
    place::Place,
    program::Program,
};

use replybus::Context;
use std::time::Duration;
use tokio::time::timeout;

impl Accounts for Caller {
    async fn balance(&self, account: String) -> Result<i64, AccountsError> {
        ask(self, &Request::Balance { account }).await
    }

    async fn deposit(&self, account: String, amount: i64) -> Result<i64, AccountsError> {
        ask(self, &Request::Deposit { account, amount }).await
    }
}

async fn ask(old: &Caller, request: &Request) -> Result<i64, AccountsError> {
    let context = Context::current();
    let id = context.call_id().ok_or(AccountsError::NotAvailable)?;
    let time = context.remaining().unwrap_or(Duration::from_secs(600));
    match timeout(time, old.call(&id.to_string(), request)).await {
        Ok(Ok(Ok(balance))) => Ok(balance),
        Ok(Ok(Err(text))) if text == "no such account" => Err(AccountsError::NoAccount),
        _ => Err(AccountsError::NotAvailable),
    }
}

pub(crate) async fn start(place: &Place) -> anyhow::Result<Program> {
    let bus = place.bus().await?;
    let old = AccountsServer::new(Caller::connect(place).await?);
    let serving = bus.serve(old).on_queue(place.new_queue()).await?;
    Ok(Program::run(|stop| async move {
        serving.run_until(stop).await?;
        bus.close(Duration::from_secs(5)).await;
        Ok(())
    }))
}
