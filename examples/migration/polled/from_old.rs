//! Old producers reach the new service. It answers where they look already, so this bridge only says
//! in the properties of a message what the old workers read in its body.

use crate::migration::{
    place::{Place, consume},
    program::{Program, Stop},
};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use lapin::{BasicProperties, Channel, Confirmation, Consumer, options::*};
use serde_json::Value;

async fn forward(
    mut requests: Consumer,
    channel: Channel,
    service: &str,
    mut stop: Stop,
) -> anyhow::Result<()> {
    loop {
        let request = tokio::select! {
            _ = &mut stop => return Ok(()),
            request = requests.next() => request.context("the queue is gone")??,
        };
        let body: Value = serde_json::from_slice(&request.data).unwrap_or_default();
        let method = body.get("method").and_then(Value::as_str);
        let method = method.filter(|name| name.len() < 256).unwrap_or("none");
        // The arguments are in the body by their names already; what else is there is not read.
        let mut properties = BasicProperties::default()
            .with_type(method.into())
            .with_content_type("application/json".into())
            .with_delivery_mode(2);
        if let Some(id) = request.properties.correlation_id() {
            properties = properties.with_correlation_id(id.clone());
        }
        let mandatory = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let publish = channel.basic_publish(
            "".into(),
            service.into(),
            mandatory,
            &request.data,
            properties,
        );
        // What the service's queue has not taken stays in the old one: the bridge ends, and is
        // started again by whoever looks after it.
        let confirmed = publish.await?.await?;
        anyhow::ensure!(
            confirmed == Confirmation::Ack(None),
            "{service}: {confirmed:?}"
        );
        request.ack(BasicAckOptions::default()).await?;
    }
}

pub(crate) async fn start(place: &Place) -> anyhow::Result<Program> {
    let connection = place.rabbit().await?;
    let channel = connection.create_channel().await?;
    let confirms = ConfirmSelectOptions::default();
    channel.confirm_select(confirms).await?;
    let requests = consume(&channel, &place.old_queue()).await?;
    let service = place.new_queue();
    Ok(Program::run(|stop| async move {
        forward(requests, channel, &service, stop).await?;
        Ok(connection.close(200, "done".into()).await?)
    }))
}
