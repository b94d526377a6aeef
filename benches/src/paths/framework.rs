//! The framework itself, as its users write it.

use super::amqp;
use crate::{
    echo::Echo,
    path::{Caller, Calls, Path, Site},
    service::{EchoServiceClient, EchoServiceServer, Echoes},
    worker::Ready,
};
use anyhow::{Context, Result};
use async_trait::async_trait;
use replybus::{Amqp, Bus};
use replybus_redis::RedisReplies;
use std::{future::pending, sync::Arc};

/// Calls through the framework.
#[derive(Debug)]
pub enum Framework {
    /// Of a `#[query]`: transient, and answered like the reference.
    Query,
    /// Of a command: persistent, and claimed in Redis before it runs.
    Command,
}

impl Framework {
    async fn bus(&self, site: &Site) -> Result<Bus> {
        Bus::builder()
            .namespace(site.name(self.name()))
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
            Self::Query => "replybus",
            Self::Command => "replybus_command",
        }
    }

    async fn serve(&self, site: &Site, ready: Ready) -> Result<()> {
        let bus = self.bus(site).await?;
        let serving = bus.serve(EchoServiceServer::new(Echoes)).await?;
        ready.tell()?;
        serving.run_until(pending::<()>()).await?;
        Ok(())
    }

    async fn connect(&self, site: &Site) -> Result<Box<dyn Calls>> {
        let client = EchoServiceClient::new(&self.bus(site).await?);
        Ok(match self {
            Self::Query => Box::new(Arc::new(Asking(client))),
            Self::Command => Box::new(Arc::new(Ordering(client))),
        })
    }

    async fn remove(&self, site: &Site) -> Result<()> {
        let queue = format!("{}.echo.requests", site.name(self.name()));
        amqp::delete(site, &queue).await?;
        amqp::delete(site, &format!("{queue}.dead")).await
    }
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
