//! The new service and a new caller, as they stay when all has moved.

use super::{
    contract::{AccountsClient, AccountsServer},
    place::Place,
    program::Program,
};
use replybus::Bus;
use std::time::Duration;

pub(crate) async fn start(place: &Place) -> anyhow::Result<Program> {
    let bus = place.bus().await?;
    let accounts = AccountsServer::new(place.ledger().await?);
    let serving = bus.serve(accounts).on_queue(place.new_queue()).await?;
    Ok(Program::run(|stop| async move {
        serving.run_until(stop).await?;
        bus.close(Duration::from_secs(5)).await;
        Ok(())
    }))
}

pub(crate) fn client(bus: &Bus, place: &Place) -> AccountsClient {
    AccountsClient::new(bus).on_queue(place.new_queue())
}
