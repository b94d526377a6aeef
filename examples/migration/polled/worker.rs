//! The old worker: one JSON message after the other, the answer into Redis, then the acknowledgement.

use crate::migration::{
    ledger::Ledger,
    place::{Place, consume},
    program::{Program, Stop},
};
use anyhow::Context as _;
use futures_util::StreamExt as _;
use lapin::{Consumer, options::BasicAckOptions};
use redis::{AsyncTypedCommands, aio::MultiplexedConnection};
use serde_json::{Value, json};

pub(crate) async fn start(place: &Place) -> anyhow::Result<Program> {
    let connection = place.rabbit().await?;
    let channel = connection.create_channel().await?;
    let requests = consume(&channel, &place.old_queue()).await?;
    let (redis, ledger) = (place.redis().await?, place.ledger().await?);
    Ok(Program::run(|stop| async move {
        work(requests, redis, ledger, stop).await?;
        Ok(connection.close(200, "done".into()).await?)
    }))
}

async fn work(
    mut requests: Consumer,
    mut redis: MultiplexedConnection,
    ledger: Ledger,
    mut stop: Stop,
) -> anyhow::Result<()> {
    loop {
        let request = tokio::select! {
            _ = &mut stop => return Ok(()),
            request = requests.next() => request.context("the queue is gone")??,
        };
        let id = request.properties.correlation_id().as_ref();
        let key = format!("response:{}", id.context("no correlation id")?);
        let reply = match answer(&ledger, &request.data).await {
            Ok(body) => json!({"status": "ok", "body": body}),
            Err(error) => json!({"status": "error", "body": error.to_string()}),
        };
        redis.set_ex(key, reply.to_string(), 600).await?;
        request.ack(BasicAckOptions::default()).await?;
    }
}

async fn answer(ledger: &Ledger, request: &[u8]) -> anyhow::Result<i64> {
    let request: Value = serde_json::from_slice(request)?;
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    let account = text("account").context("no account")?;
    match text("method") {
        Some("balance") => {
            let balance = ledger.read(account).await?;
            balance.context("no such account")
        }
        Some("deposit") => {
            let amount = request.get("amount").and_then(Value::as_i64);
            Ok(ledger.add(account, amount.context("no amount")?).await?)
        }
        _ => anyhow::bail!("no such method"),
    }
}
