//! More consumers than a connection has channels.

use super::rig::{Rig, bounded, until};
use replybus::{
    Amqp,
    transport::{QueueSpec, Source},
};
use replybus_testkit::servers::Persistence;

/// A service or a subscription has a channel for as long as it is served, and a declaration needs
/// one for a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_consumers_than_a_connection_has_channels_are_refused_with_the_limit() {
    let Some(rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let limit = "application:set_env(rabbit, channel_max, 8).";
    rig.rabbit.ctl(&["eval", limit]).await.unwrap();
    let transport = Amqp::new(rig.rabbit.url()).connect().await.unwrap();
    let mut consumed = Vec::new();
    let refused = loop {
        let queue = QueueSpec::new(format!("channels.{}", consumed.len()));
        match bounded(transport.consume(Source::new(queue, 1))).await {
            Ok(deliveries) => consumed.push(deliveries),
            Err(error) => break error,
        }
    };
    // The last may find the channel of its own declaration not yet free again.
    let count = consumed.len();
    assert!((7..=8).contains(&count), "{count}");
    let said = refused.to_string();
    let name = format!("queue \"channels.{count}\"");
    for part in [&*name, "all 8 channels", "on another bus"] {
        assert!(said.contains(part), "{said}");
    }
    // Room is used again.
    consumed.pop().unwrap().stop().await;
    let queue = QueueSpec::new("channels.again");
    let again = || transport.consume(Source::new(queue.clone(), 1));
    until("a channel is free", || async { again().await.map(drop) }).await;
}
