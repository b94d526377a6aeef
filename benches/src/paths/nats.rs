//! NATS request and reply: a broker that keeps nothing.

use crate::{
    echo::Echo,
    handler::Handler,
    path::{Broker, Caller, Calls, Path, Site},
    worker::{self, Ready, Worker},
};
use anyhow::{Context, Error, Result};
use async_nats::{Client, Message};
use async_trait::async_trait;
use futures_util::StreamExt;
use std::sync::Arc;

/// The workers, each request to one of them.
const GROUP: &str = "workers";

/// Calls through NATS: a queue group, and the client's own inbox.
#[derive(Debug)]
pub struct Nats;

fn subject(site: &Site) -> String {
    site.name("nats.requests")
}

async fn connect(site: &Site) -> Result<Client> {
    let url = site.nats_url.as_ref().context("there is no NATS")?;
    async_nats::connect(url)
        .await
        .context("could not connect to NATS (NATS_URL)")
}

#[async_trait]
impl Path for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn broker(&self) -> Option<Broker> {
        Some(Broker::Nats)
    }

    async fn serve(&self, site: &Site, ready: Ready) -> Result<()> {
        let client = connect(site).await?;
        let requests = client.queue_subscribe(subject(site), GROUP.to_owned());
        let mut requests = requests.await.context("could not subscribe")?;
        // The server knows of the subscription once it has answered.
        client.flush().await.context("could not subscribe")?;
        ready.tell()?;
        while let Some(request) = requests.next().await {
            let answering = answer(request, site.handler, client.clone());
            tokio::spawn(async { answering.await.unwrap_or_else(|error| worker::fail(&error)) });
        }
        Ok(())
    }

    async fn connect(&self, site: &Site, _workers: &[Worker]) -> Result<Box<dyn Calls>> {
        Ok(Box::new(Arc::new(Asking {
            client: connect(site).await?,
            subject: subject(site),
        })))
    }
}

async fn answer(request: Message, handler: Handler, client: Client) -> Result<()> {
    let reply_to = request.reply;
    let reply_to = reply_to.context("a request does not say where its reply goes")?;
    let echo = Echo::decode(&request.payload)?;
    handler.run().await;
    let body = echo.encode()?;
    let published = client.publish(reply_to, body.into()).await;
    published.context("could not publish")
}

struct Asking {
    client: Client,
    subject: String,
}

impl Caller for Asking {
    async fn call(&self, echo: &Echo) -> Result<Echo> {
        let body = echo.encode()?.into();
        let reply = self.client.request(self.subject.clone(), body).await;
        Echo::decode(&reply.map_err(Error::new)?.payload)
    }
}
