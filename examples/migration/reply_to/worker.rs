//! The old worker: takes a request, publishes the reply to the queue that it names, acknowledges.

use super::caller::{Reply, Request};
use crate::migration::{
    ledger::Ledger,
    place::{Place, consume},
    program::{Program, Stop},
};
use anyhow::Context as _;
use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicPublishOptions},
};

pub(crate) async fn start(place: &Place) -> anyhow::Result<Program> {
    let connection = place.rabbit().await?;
    let channel = connection.create_channel().await?;
    let requests = consume(&channel, &place.old_queue()).await?;
    let ledger = place.ledger().await?;
    Ok(Program::run(|stop| async move {
        work(requests, channel, ledger, stop).await?;
        Ok(connection.close(200, "done".into()).await?)
    }))
}

async fn work(
    mut requests: Consumer,
    channel: Channel,
    ledger: Ledger,
    mut stop: Stop,
) -> anyhow::Result<()> {
    loop {
        let request = tokio::select! {
            _ = &mut stop => return Ok(()),
            request = requests.next() => request.context("the queue is gone")??,
        };
        let reply = answer(&ledger, &request.data).await;
        let reply: Reply = reply.map_err(|error| error.to_string());
        publish_reply(&channel, &request, &reply).await?;
        request.ack(BasicAckOptions::default()).await?;
    }
}

async fn answer(ledger: &Ledger, request: &[u8]) -> anyhow::Result<i64> {
    match serde_json::from_slice(request)? {
        Request::Balance { account } => {
            let balance = ledger.read(&account).await?;
            balance.context("no such account")
        }
        Request::Deposit { account, amount } => Ok(ledger.add(&account, amount).await?),
    }
}

/// Publishes a reply to the queue that its request names.
pub(crate) async fn publish_reply(
    channel: &Channel,
    request: &Delivery,
    reply: &Reply,
) -> anyhow::Result<()> {
    let (reply_to, id) = (
        request.properties.reply_to(),
        request.properties.correlation_id(),
    );
    let (Some(reply_to), Some(id)) = (reply_to, id) else {
        return Ok(()); // nobody waits
    };
    let properties = BasicProperties::default().with_correlation_id(id.clone());
    let body = serde_json::to_vec(reply)?;
    let publish = channel.basic_publish(
        "".into(),
        reply_to.clone(),
        BasicPublishOptions::default(),
        &body,
        properties,
    );
    publish.await?;
    Ok(())
}
