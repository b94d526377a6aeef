//! A caller without this framework, as one in Python, Go or a shell would be: JSON into the queue,
//! the reply out of Redis.
//!
//! ```text
//! cargo run -p replybus-examples -F servers --example json_caller
//! ```
//!
//! The call itself is [`call`]; the rest is a service to call.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::Context;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, options::BasicPublishOptions,
};
use redis::{AsyncConnectionConfig, AsyncTypedCommands, aio::MultiplexedConnection};
use replybus::{Amqp, Bus, CallId};
use replybus_examples::{
    contract::AccountServiceServer,
    ledger::Ledger,
    servers::{amqp_url, delete_queue, redis_url},
};
use replybus_redis::RedisReplies;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// One call: the method is the property `type`, the arguments go by name, and a request without
/// `reply_to` is answered under the key `response:{correlation_id}`, which expires by itself.
async fn call(
    rabbit: &Channel,
    redis: &mut MultiplexedConnection,
    queue: &str,
    method: &str,
    arguments: Value,
) -> anyhow::Result<Value> {
    let id = CallId::new().to_string(); // any UUID, in lower case with hyphens
    let request = BasicProperties::default()
        .with_correlation_id(id.as_str().into())
        .with_type(method.into())
        .with_content_type("application/json".into())
        .with_delivery_mode(2) // survives a restart of RabbitMQ
        .with_expiration("5000".into()); // ms it may wait in the queue
    let body = serde_json::to_vec(&arguments)?;
    let publish = rabbit.basic_publish(
        "".into(),
        queue.into(),
        BasicPublishOptions::default(),
        &body,
        request,
    );
    publish.await?;

    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(reply) = redis.get(format!("response:{id}")).await? {
            return Ok(serde_json::from_str(&reply)?);
        }
        anyhow::ensure!(Instant::now() < give_up, "no reply to {method} within 30 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let queue = format!("examples.json.{}", CallId::new());
    let bus = Bus::connect(Amqp::new(amqp_url()), RedisReplies::new(redis_url())).await?;
    let accounts = AccountServiceServer::new(Ledger::default());
    let serving = bus.serve(accounts).on_queue(&queue).await?;

    let connection = Connection::connect(&amqp_url(), ConnectionProperties::default()).await?;
    let rabbit = connection.create_channel().await?;
    // By default it gives a server half a second for an answer.
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(30)));
    let mut redis = redis::Client::open(redis_url())?
        .get_multiplexed_async_connection_with_config(&config)
        .await?;

    for (method, arguments, expected) in [
        (
            "deposit",
            json!({"account": "ada", "amount": 1000}),
            json!({"status": "ok", "body": 1000}),
        ),
        (
            "balance",
            json!({"account": "ada"}),
            json!({"status": "ok", "body": 1000}),
        ),
        (
            "balance",
            json!({"account": "bob"}),
            json!({"status": "error", "code": "handler", "body": {"NoAccount": "bob"}}),
        ),
    ] {
        let reply = call(&rabbit, &mut redis, &queue, method, arguments.clone()).await?;
        println!("{method} {arguments} -> {reply}");
        assert_eq!(reply, expected);
    }

    // What the service can't do is answered too, with a code and a sentence.
    let reply = call(&rabbit, &mut redis, &queue, "close", json!({})).await?;
    println!("close {{}} -> {reply}");
    let code = reply.get("code").and_then(Value::as_str);
    assert_eq!(code.context("a code")?, "unknown_method");

    connection.close(200, "done".into()).await?;
    serving.shutdown().await?;
    bus.close(Duration::from_secs(5)).await;
    delete_queue(&queue).await?;
    Ok(())
}
