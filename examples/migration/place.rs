//! Where the programs meet: servers, and names that are those of one run.

use super::{ledger::Ledger, orders::Book};
use lapin::{
    Channel, Connection, ConnectionProperties, Consumer,
    options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};
use redis::{AsyncConnectionConfig, AsyncTypedCommands, Client, aio::MultiplexedConnection};
use replybus::{Amqp, Bus, SetupError};
use replybus_redis::RedisReplies;
use std::{io, net, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

/// What one old program holds of messages that it has not acknowledged.
const PREFETCH: u16 = 16;

/// The time in which Redis answers: half a second if it is not said.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) amqp_url: String,
    pub(crate) redis_url: String,
    pub(crate) name: String,
    pub(crate) book: Arc<Book>,
    /// Where old callers find what is behind gRPC. Programs that serve it share its listener, as they
    /// would have a load balancer between them and the callers.
    grpc: Arc<net::TcpListener>,
}

impl Place {
    pub(crate) fn new(amqp_url: String, redis_url: String, name: String) -> io::Result<Self> {
        let grpc = net::TcpListener::bind(("127.0.0.1", 0))?;
        grpc.set_nonblocking(true)?;
        Ok(Self {
            amqp_url,
            redis_url,
            name,
            book: Arc::default(),
            grpc: Arc::new(grpc),
        })
    }

    pub(crate) fn grpc_url(&self) -> io::Result<String> {
        Ok(format!("http://{}", self.grpc.local_addr()?))
    }

    pub(crate) fn grpc_server(&self) -> io::Result<TcpIncoming> {
        let listener = TcpListener::from_std(self.grpc.try_clone()?)?;
        Ok(TcpIncoming::from(listener).with_nodelay(Some(true)))
    }

    /// The queue of the old workers.
    pub(crate) fn old_queue(&self) -> String {
        format!("{}.accounts", self.name)
    }

    /// The queue of the service. Outside of a test the contract names it.
    pub(crate) fn new_queue(&self) -> String {
        format!("{}.accounts.requests", self.name)
    }

    pub(crate) async fn rabbit(&self) -> Result<Connection, lapin::Error> {
        Connection::connect(&self.amqp_url, ConnectionProperties::default()).await
    }

    pub(crate) async fn redis(&self) -> redis::RedisResult<MultiplexedConnection> {
        let client = Client::open(self.redis_url.as_str())?;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWERS_WITHIN));
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    pub(crate) async fn ledger(&self) -> redis::RedisResult<Ledger> {
        Ok(Ledger {
            redis: self.redis().await?,
            key: format!("{}.ledger", self.name),
        })
    }

    pub(crate) async fn bus(&self) -> Result<Bus, SetupError> {
        let redis = RedisReplies::new(&self.redis_url);
        Bus::connect(Amqp::new(&self.amqp_url), redis).await
    }

    /// Leaves nothing behind.
    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        let connection = self.rabbit().await?;
        let channel = connection.create_channel().await?;
        let queue = self.new_queue();
        let dead = format!("{queue}.dead");
        for queue in [self.old_queue(), queue, dead] {
            let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
            deleted.await?;
        }
        connection.close(200, "done".into()).await?;
        let mut ledger = self.ledger().await?;
        ledger.redis.del(&ledger.key).await?;
        Ok(())
    }
}

/// Declares an old queue. Both ends do so, as whichever comes first has to.
pub(crate) async fn declare(channel: &Channel, queue: &str) -> Result<(), lapin::Error> {
    let durable = QueueDeclareOptions::durable();
    channel
        .queue_declare(queue.into(), durable, FieldTable::default())
        .await?;
    Ok(())
}

/// Takes what comes to an old queue.
pub(crate) async fn consume(channel: &Channel, queue: &str) -> Result<Consumer, lapin::Error> {
    declare(channel, queue).await?;
    channel
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    let options = BasicConsumeOptions::default();
    channel
        .basic_consume(queue.into(), "".into(), options, FieldTable::default())
        .await
}
