//! One way for a call to travel from one process to another and back.

use crate::{
    echo::Echo,
    handler::Handler,
    load::{self, Load, Slice},
    observed::Observed,
    worker::{Ready, Worker},
};
use anyhow::{Context, Result};
use async_trait::async_trait;
use std::{env, future::Future, sync::Arc};

/// The server that carries requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    /// RabbitMQ.
    RabbitMq,
    /// NATS.
    Nats,
}

/// A way for a call to travel. To measure another one, implement this and list it in
/// [`crate::paths::all`].
#[async_trait]
pub trait Path: Send + Sync {
    /// Its name in the report and on the command line.
    fn name(&self) -> &'static str;

    /// The server that carries its requests, if one does.
    fn broker(&self) -> Option<Broker> {
        Some(Broker::RabbitMq)
    }

    /// `true` if Redis carries its replies.
    fn uses_redis(&self) -> bool {
        false
    }

    /// Answers each call with its argument, in a process of its own, until that process ends.
    ///
    /// # Errors
    /// A server can't be reached, refuses, or goes away.
    async fn serve(&self, site: &Site, ready: Ready) -> Result<()>;

    /// Connects the calling side.
    ///
    /// # Errors
    /// A server or a worker can't be reached, or refuses.
    async fn connect(&self, site: &Site, workers: &[Worker]) -> Result<Box<dyn Calls>>;

    /// Removes what the run left on the servers. The workers are gone by then.
    ///
    /// # Errors
    /// A server can't be reached or refuses.
    async fn remove(&self, _site: &Site) -> Result<()> {
        Ok(())
    }
}

/// Makes one call. Used by many tasks at once.
pub trait Caller: Send + Sync + 'static {
    /// Calls, and returns what came back.
    ///
    /// # Errors
    /// The call fails, or its time is up.
    fn call(&self, echo: &Echo) -> impl Future<Output = Result<Echo>> + Send;
}

/// The calling side of any path: a [`Caller`] whose type is forgotten once per slice, not per call.
#[async_trait]
pub trait Calls: Send + Sync {
    /// Calls for as long as the load says.
    ///
    /// # Errors
    /// A call fails, or a reply is not what its call sent.
    async fn measure(&self, load: Load, payload_bytes: u32) -> Result<Slice>;
}

#[async_trait]
impl<C: Caller> Calls for Arc<C> {
    async fn measure(&self, load: Load, payload_bytes: u32) -> Result<Slice> {
        load::measure(self, load, payload_bytes).await
    }
}

/// The servers, and the name that keeps this run apart from every other.
#[allow(
    missing_debug_implementations,
    reason = "it knows addresses that hold passwords"
)]
#[derive(Clone)]
pub struct Site {
    /// Where RabbitMQ is. May hold a password.
    pub amqp_url: String,
    /// Where Redis is. May hold a password.
    pub redis_url: String,
    /// Where NATS is, if it is measured. May hold a password.
    pub nats_url: Option<String>,
    /// Unique to this run.
    pub run: String,
    /// What a handler does.
    pub handler: Handler,
    /// Where traces of both ends go, and what is told of them, if they are observed.
    pub observed: Option<(String, Observed)>,
}

impl Site {
    /// The servers of the environment (`AMQP_URL`, `REDIS_URL`), or the local ones; of NATS only
    /// the one in `NATS_URL`.
    ///
    /// # Errors
    /// A variable is set to something that is no text.
    pub fn of_environment(run: String, handler: Handler) -> Result<Self> {
        let nats_url = variable("NATS_URL", "")?;
        Ok(Self {
            nats_url: (!nats_url.is_empty()).then_some(nats_url),
            handler,
            observed: None,
            amqp_url: variable("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")?,
            redis_url: variable("REDIS_URL", "redis://127.0.0.1:6379/0")?,
            run,
        })
    }

    /// A name for something of this run on a server.
    #[must_use]
    pub fn name(&self, purpose: &str) -> String {
        format!("replybus-bench.{}.{purpose}", self.run)
    }
}

fn variable(name: &str, default: &str) -> Result<String> {
    match env::var(name) {
        Err(env::VarError::NotPresent) => Ok(default.to_owned()),
        other => other.with_context(|| format!("could not read {name}")),
    }
}
