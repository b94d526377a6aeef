//! The framework itself, as its users write it.

use super::{amqp, redis_connection};
use crate::{
    echo::Echo,
    path::{Caller, Calls, Path, Site},
    service::{EchoServiceClient, EchoServiceServer, Echoes},
    worker::{Ready, Worker},
};
use anyhow::{Context, Result};
use async_trait::async_trait;
use replybus::{
    Amqp, Bus,
    signature::{KeyRing, SigningKey},
};
use replybus_redis::RedisReplies;
use std::{future::pending, sync::Arc};

/// Calls through the framework.
#[derive(Debug)]
pub enum Framework {
    /// Of a `#[query]`: transient, and answered like the reference.
    Query,
    /// The same, of a service that takes no bundles: each request is a message.
    Single,
    /// The same as a query, of which the request and the reply are signed, and believed for that.
    Signed,
    /// Of a command: persistent, and claimed in Redis before it runs.
    Command,
}

impl Framework {
    async fn bus(&self, site: &Site) -> Result<Bus> {
        let mut builder = Bus::builder().namespace(site.name(self.name()));
        if let Self::Signed = self {
            let (key, ring) = keys()?;
            builder = builder.sign(key).only_signed_replies(ring);
        }
        builder
            .connect(
                Amqp::new(&site.amqp_url),
                RedisReplies::new(&site.redis_url),
            )
            .await
            .context("the bus could not connect")
    }
}

#[async_trait]
impl Path for Framework {
    fn name(&self) -> &'static str {
        match self {
            Self::Query => "replybus_query",
            Self::Single => "replybus_single",
            Self::Signed => "replybus_signed",
            Self::Command => "replybus_command",
        }
    }

    fn uses_redis(&self) -> bool {
        true
    }

    async fn serve(&self, site: &Site, ready: Ready) -> Result<()> {
        let bus = self.bus(site).await?;
        let serve = bus.serve(EchoServiceServer::new(Echoes(site.handler)));
        let serving = match self {
            Self::Single => serve.bundles(false).await?,
            Self::Signed => serve.only_signed(keys()?.1).await?,
            Self::Query | Self::Command => serve.await?,
        };
        ready.tell()?;
        serving.run_until(pending::<()>()).await?;
        Ok(())
    }

    async fn connect(&self, site: &Site, _workers: &[Worker]) -> Result<Box<dyn Calls>> {
        let client = EchoServiceClient::new(&self.bus(site).await?);
        Ok(match self {
            Self::Query | Self::Single | Self::Signed => Box::new(Arc::new(Asking(client))),
            Self::Command => Box::new(Arc::new(Ordering(client))),
        })
    }

    async fn remove(&self, site: &Site) -> Result<()> {
        let namespace = site.name(self.name());
        redis_connection::remove_all(site, &namespace).await?;
        let queue = format!("{namespace}.echo.requests");
        amqp::delete(site, &queue).await?;
        amqp::delete(site, &format!("{queue}.dead")).await
    }
}

/// The one key of both ends, and a ring of it.
fn keys() -> Result<(SigningKey, KeyRing)> {
    let key = SigningKey::from_bytes("bench", &[7; 32])?;
    let ring = KeyRing::new().trust("bench", &key.public_key())?;
    Ok((key, ring))
}

struct Asking(EchoServiceClient);

impl Caller for Asking {
    async fn call(&self, echo: &Echo) -> Result<Echo> {
        Ok(self.0.ask(echo.clone()).await?)
    }
}

struct Ordering(EchoServiceClient);

impl Caller for Ordering {
    async fn call(&self, echo: &Echo) -> Result<Echo> {
        Ok(self.0.order(echo.clone()).await?)
    }
}
