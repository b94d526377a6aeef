//! tarpc over TCP, without a broker, with MessagePack like the others.

use crate::{
    echo::Echo,
    handler::Handler,
    path::{Broker, Caller, Calls, Path, Site},
    paths::turns::Turns,
    worker::{Ready, Worker},
};
use anyhow::{Context, Result};
use async_trait::async_trait;
use futures_util::StreamExt;
use std::sync::Arc;
use tarpc::{
    client::Config,
    context,
    serde_transport::tcp,
    server::{BaseChannel, Channel as _},
};
use tokio_serde::formats::MessagePack;

/// Calls through tarpc, one connection to each worker.
#[derive(Debug)]
pub struct Tarpc;

mod contract {
    #![allow(
        missing_docs,
        unreachable_pub,
        reason = "the macro makes public items that have no documentation"
    )]

    use crate::echo::Echo;

    #[tarpc::service]
    pub trait Echoing {
        /// Returns its argument.
        async fn ask(echo: Echo) -> Echo;
    }
}

pub use contract::{Echoing, EchoingClient};

/// The implementation.
#[derive(Debug, Clone)]
pub struct Answers(pub Handler);

impl Echoing for Answers {
    async fn ask(self, _: context::Context, echo: Echo) -> Echo {
        self.0.run().await;
        echo
    }
}

#[async_trait]
impl Path for Tarpc {
    fn name(&self) -> &'static str {
        "tarpc"
    }

    fn broker(&self) -> Option<Broker> {
        None
    }

    async fn serve(&self, site: &Site, ready: Ready) -> Result<()> {
        let mut incoming = tcp::listen(("127.0.0.1", 0), MessagePack::default).await?;
        ready.tell_at(incoming.local_addr())?;
        while let Some(transport) = incoming.next().await {
            let transport = transport?;
            transport.get_ref().set_nodelay(true)?;
            let answers = Answers(site.handler).serve();
            let answering = BaseChannel::with_defaults(transport).execute(answers);
            tokio::spawn(answering.for_each(|request| async {
                tokio::spawn(request);
            }));
        }
        Ok(())
    }

    async fn connect(&self, _site: &Site, workers: &[Worker]) -> Result<Box<dyn Calls>> {
        let mut clients = Vec::new();
        for worker in workers {
            let address = worker.address().context("the worker has no address")?;
            let transport = tcp::connect(address, MessagePack::default).await?;
            transport.get_ref().set_nodelay(true)?;
            clients.push(EchoingClient::new(Config::default(), transport).spawn());
        }
        Ok(Box::new(Arc::new(Client(Turns::new(clients)))))
    }
}

struct Client(Turns<EchoingClient>);

impl Caller for Client {
    async fn call(&self, echo: &Echo) -> Result<Echo> {
        let client = self.0.next()?;
        Ok(client.ask(context::current(), echo.clone()).await?)
    }
}
