//! The private servers do what tests of failures rely on.

use lapin::{
    BasicProperties, Confirmation, Connection, ConnectionProperties, options::*, types::FieldTable,
};
use replybus_testkit::{
    live::require_or_skip,
    servers::{Persistence, PrivatePostgres, PrivateRabbit, PrivateRedis, program},
    wait::{AT_MOST, bounded, eventually},
};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const A_WHILE: Duration = Duration::from_millis(500);

async fn connect(url: &str) -> lapin::Result<lapin::Channel> {
    let connecting = async {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        connection.create_channel().await
    };
    bounded(connecting).await
}

async fn publish(channel: &lapin::Channel, queue: &str) -> lapin::Result<Confirmation> {
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    let publishing = channel.basic_publish("".into(), queue.into(), options, b"x", persistent);
    bounded(async { publishing.await?.await }).await
}

#[tokio::test]
async fn a_killed_rabbitmq_comes_back_with_its_data() {
    let Some(mut rabbit) = require_or_skip(PrivateRabbit::start().await) else {
        return;
    };
    let durable = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let channel = connect(&rabbit.url()).await.unwrap();
    channel
        .queue_declare("q".into(), durable, FieldTable::default())
        .await
        .unwrap();
    channel.confirm_select(Default::default()).await.unwrap();
    assert!(matches!(
        publish(&channel, "q").await,
        Ok(Confirmation::Ack(None))
    ));

    // What queues there are it writes to disk a little later.
    let sync = ["eval", "ok = mnesia:sync_log()."];
    rabbit.ctl(&sync).await.unwrap();
    rabbit.kill();
    assert!(publish(&channel, "q").await.is_err());
    assert!(connect(&rabbit.url()).await.is_err());

    let url = rabbit.url();
    rabbit.restart().await.unwrap();
    assert_eq!(rabbit.url(), url);
    let channel = connect(&url).await.unwrap();
    let message = channel.basic_get("q".into(), Default::default()).await;
    assert!(message.unwrap().is_some());

    rabbit.stop().await;
    assert!(connect(&url).await.is_err());
}

#[tokio::test]
async fn rabbitmq_freezes_and_blocks_and_goes_on() {
    let Some(rabbit) = require_or_skip(PrivateRabbit::start().await) else {
        return;
    };
    let channel = connect(&rabbit.url()).await.unwrap();
    channel.confirm_select(Default::default()).await.unwrap();

    rabbit.freeze();
    let pending = until_one_waits(&channel).await;
    rabbit.thaw();
    bounded(pending).await.unwrap();

    rabbit.block_publishers().await.unwrap();
    let pending = until_one_waits(&channel).await;
    rabbit.unblock_publishers().await.unwrap();
    bounded(pending).await.unwrap();
}

/// Publishes until there is no answer for a while: a signal, or an alarm, takes a moment to be
/// heard by all threads of the node.
async fn until_one_waits(
    channel: &lapin::Channel,
) -> impl Future<Output = lapin::Result<Confirmation>> {
    let until = Instant::now() + AT_MOST;
    loop {
        let mut pending = Box::pin(publish(channel, "nowhere"));
        match timeout(A_WHILE, &mut pending).await {
            Err(_) => return pending,
            Ok(published) => assert!(Instant::now() < until, "{published:?}"),
        }
    }
}

#[tokio::test]
async fn redis_keeps_its_data_only_if_it_is_told_to() {
    for (persistence, kept) in [(Persistence::None, ""), (Persistence::AppendOnly, "value")] {
        let Some(mut redis) = require_or_skip(PrivateRedis::start(persistence).await) else {
            return;
        };
        redis.cli(&["SET", "key", "value"]).await.unwrap();
        redis.stop().await;
        assert!(redis.cli(&["PING"]).await.is_err());
        redis.restart().await.unwrap();
        assert_eq!(redis.cli(&["GET", "key"]).await.unwrap(), kept);

        redis.freeze();
        let mut pending = Box::pin(redis.cli(&["PING"]));
        assert!(timeout(A_WHILE, &mut pending).await.is_err());
        redis.thaw();
        assert_eq!(bounded(pending).await.unwrap(), "PONG");
        redis.kill();
        assert!(redis.cli(&["PING"]).await.is_err());
    }
}

#[tokio::test]
async fn a_killed_postgres_comes_back_with_its_data() {
    let Some(mut postgres) = require_or_skip(PrivatePostgres::start().await) else {
        return;
    };
    let Some(psql) = require_or_skip(program("psql", &["psql"])) else {
        return;
    };
    let url = postgres.url();
    let told = async |statement: &str| {
        let mut command = tokio::process::Command::new(&psql);
        command.args(["-X", "-t", "-A", "-d", &url, "-c", statement]);
        let output = bounded(command.output()).await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| text.trim().to_owned())
    };
    told("CREATE TABLE kept AS SELECT 7 AS number")
        .await
        .unwrap();
    postgres.kill();
    assert_eq!(told("SELECT 1").await, None);
    postgres.restart().await.unwrap();
    // It answers before it has read what it had written.
    eventually("it is back", || async { told("SELECT 1").await.is_some() }).await;
    assert_eq!(told("SELECT number FROM kept").await.unwrap(), "7");
    postgres.stop().await;
    assert_eq!(told("SELECT 1").await, None);
}
