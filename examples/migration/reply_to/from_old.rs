//! Old callers reach the new service: a worker on the old queue that has nothing to do but to ask it,
//! with the generated client.

use super::{
    caller::{Reply, Request},
    worker::publish_reply,
};
use crate::migration::{
    contract::AccountsClient,
    place::{Place, consume},
    program::{Program, Stop},
    service,
};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use lapin::{Channel, Consumer, message::Delivery, options::*};
use tokio::task::JoinSet;

async fn answer(
    request: Delivery,
    accounts: AccountsClient,
    channel: Channel,
) -> anyhow::Result<()> {
    let id = request.properties.correlation_id().as_ref();
    let (Ok(asked), Some(id)) = (serde_json::from_slice(&request.data), id) else {
        // What can't be read is for nobody: an old queue with a dead-letter exchange keeps it.
        request.reject(BasicRejectOptions::default()).await?;
        return Ok(());
    };
    let key = format!("old-{id}"); // one message is one command, however often it is delivered
    let answered = match asked {
        Request::Balance { account } => accounts.balance(account).wait_for_service().await,
        Request::Deposit { account, amount } => {
            let deposit = accounts.deposit(account, amount).idempotency_key(key);
            deposit.wait_for_service().await
        }
    };
    let reply: Reply = answered.map_err(|error| match error.into_handler() {
        Ok(refused) => refused.to_string(),
        Err(failure) => failure.to_string(),
    });
    publish_reply(&channel, &request, &reply).await?;
    request.ack(BasicAckOptions::default()).await?;
    Ok(())
}

async fn forward(
    mut requests: Consumer,
    accounts: AccountsClient,
    channel: Channel,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let mut calls = JoinSet::new(); // as many as the consumer's prefetch
    loop {
        tokio::select! {
            _ = &mut stop => break,
            request = requests.next() => {
                let request = request.context("the queue is gone")??;
                calls.spawn(answer(request, accounts.clone(), channel.clone()));
            }
            Some(answered) = calls.join_next() => answered??,
        }
    }
    while let Some(answered) = calls.join_next().await {
        answered??;
    }
    Ok(())
}

pub(crate) async fn start(place: &Place) -> anyhow::Result<Program> {
    let connection = place.rabbit().await?;
    let channel = connection.create_channel().await?;
    let requests = consume(&channel, &place.old_queue()).await?;
    let bus = place.bus().await?;
    let accounts = service::client(&bus, place);
    Ok(Program::run(|stop| async move {
        forward(requests, accounts, channel, stop).await?;
        bus.close(std::time::Duration::from_secs(5)).await;
        Ok(connection.close(200, "done".into()).await?)
    }))
}
