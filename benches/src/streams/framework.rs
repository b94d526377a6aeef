//! Streams through the framework, as its users write them.

use super::{Counted, Reading, Turn, Wanted, texts};
use crate::{
    path::Site,
    paths::{amqp, redis_connection},
    worker::Ready,
};
use anyhow::{Context, Result};
use futures_util::stream;
use replybus::{Amqp, Bus, Never, queue_handler, stream::Items};
use replybus_redis::RedisReplies;
use std::{future::pending, time::Duration};

/// More than a stream of any length that anybody waits for.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

#[queue_handler("texts.requests")]
trait Texts {
    #[stream]
    async fn texts(&self, items: u64, bytes: u32) -> Result<Items<String, Never>, Never>;

    #[query]
    async fn count(&self, #[stream] texts: Items<String>) -> Result<Counted, Never>;
}

struct Answers;

impl Texts for Answers {
    async fn texts(&self, items: u64, bytes: u32) -> Result<Items<String, Never>, Never> {
        Ok(Items::new(stream::iter(texts(items, bytes).map(Ok))))
    }

    async fn count(&self, mut texts: Items<String>) -> Result<Counted, Never> {
        let mut counted = Counted::default();
        while let Some(Ok(text)) = texts.next().await {
            counted.add(&text);
        }
        Ok(counted)
    }
}

fn namespace(site: &Site) -> String {
    site.name("streams")
}

async fn bus(site: &Site) -> Result<Bus> {
    let connected = Bus::builder().namespace(namespace(site)).connect(
        Amqp::new(&site.amqp_url),
        RedisReplies::new(&site.redis_url),
    );
    connected.await.context("the bus could not connect")
}

pub(super) async fn serve(site: &Site, ready: Ready) -> Result<()> {
    let serving = bus(site).await?.serve(TextsServer::new(Answers)).await?;
    ready.tell()?;
    serving.run_until(pending::<()>()).await?;
    Ok(())
}

pub(super) struct Client(TextsClient);

pub(super) async fn connect(site: &Site) -> Result<Client> {
    Ok(Client(TextsClient::new(&bus(site).await?)))
}

pub(super) async fn read(Client(client): &Client, wanted: Wanted) -> Result<Turn> {
    let mut reading = Reading::begin(wanted);
    let mut texts = client.texts(wanted.items, wanted.bytes).await?;
    while let Some(text) = texts.next().await {
        reading.read(&text?)?;
    }
    reading.end()
}

pub(super) async fn send(Client(client): &Client, wanted: Wanted) -> Result<Turn> {
    let sending = Reading::begin(wanted);
    let texts = stream::iter(texts(wanted.items, wanted.bytes));
    let counted = client.count(texts).timeout(PATIENCE).await?;
    sending.sent(counted)
}

pub(super) async fn remove(site: &Site) -> Result<()> {
    let namespace = namespace(site);
    redis_connection::remove_all(site, &namespace).await?;
    let queue = format!("{namespace}.texts.requests");
    amqp::delete(site, &queue).await?;
    amqp::delete(site, &format!("{queue}.dead")).await
}
