//! On real servers: RabbitMQ that all tests share, and a Redis that forgets everything.

use crate::stage::{Happened, Stage, on_postgres};
use replybus::{Amqp, Bus, Event as _, queue_handler};
use replybus_redis::RedisReplies;
use replybus_sql::{InboxError, Request, Sweep};
use replybus_testkit::{
    live::{self, require_or_skip, unique},
    servers::{Persistence, PrivateRedis},
    wait,
};
use serde::{Deserialize, Serialize};
use sqlx::Postgres;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio_util::sync::CancellationToken;

#[queue_handler("replybus-sql.wallets")]
pub(crate) trait Wallets {
    /// Takes an amount out, and says what is left.
    #[command(own_record)]
    async fn take(&self, amount: i64) -> Result<i64, TakeError>;

    /// The same, which the bus claims as well.
    async fn take_claimed(&self, amount: i64) -> Result<i64, TakeError>;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum TakeError {
    #[error("there is not enough")]
    Insufficient { left: i64 },
    #[error("the key is another request's")]
    KeyConflict,
    #[error("{0}")]
    Failed(String),
}

impl From<InboxError> for TakeError {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::Conflict => Self::KeyConflict,
            other => Self::Failed(other.to_string()),
        }
    }
}

struct Service {
    stage: Stage<Postgres>,
    runs: Arc<AtomicUsize>,
}

impl Service {
    /// Takes, and tells of it, or refuses for ever.
    async fn taken(&self, amount: i64) -> Result<i64, TakeError> {
        const TAKE: &str =
            "UPDATE wallet SET amount = amount - $1 WHERE amount >= $1 RETURNING amount";
        let Stage {
            inbox,
            pool,
            outbox,
            ..
        } = &self.stage;
        let request = Request::current(&amount)?;
        let taken = inbox.once(
            pool,
            &request,
            async |transaction: &mut sqlx::PgConnection| {
                self.runs.fetch_add(1, Ordering::Relaxed);
                let take = sqlx::query_as(TAKE).bind(amount);
                let left = take.fetch_optional(&mut *transaction).await;
                let Some((left,)): Option<(i64,)> = left.map_err(InboxError::from)? else {
                    let left =
                        sqlx::query_as("SELECT amount FROM wallet").fetch_one(&mut *transaction);
                    let (left,) = left.await.map_err(InboxError::from)?;
                    return Ok::<_, TakeError>(Err(TakeError::Insufficient { left }));
                };
                let event = Happened {
                    what: left.to_string(),
                };
                let put = outbox.put(&mut *transaction, &event).await;
                put.map_err(|error| TakeError::Failed(error.to_string()))?;
                Ok(Ok(left))
            },
        );
        let taken = taken.await?;
        outbox.wake();
        taken
    }
}

impl Wallets for Service {
    async fn take(&self, amount: i64) -> Result<i64, TakeError> {
        self.taken(amount).await
    }

    async fn take_claimed(&self, amount: i64) -> Result<i64, TakeError> {
        self.taken(amount).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_forgets_everything_has_nothing_done_twice() {
    let (Some(amqp), Some(redis)) = (
        live::rabbitmq().await,
        require_or_skip(PrivateRedis::start(Persistence::None).await),
    ) else {
        return;
    };
    on_postgres(|stage| async move {
        let (namespace, url) = (unique("sql"), redis.url());
        let connect = || {
            let builder = Bus::builder().namespace(&namespace);
            builder.connect(Amqp::new(&amqp), RedisReplies::new(&url))
        };
        stage.execute("CREATE TABLE wallet (amount BIGINT)").await;
        stage.execute("INSERT INTO wallet VALUES (100)").await;
        let bus = connect().await.unwrap();
        let stage = Stage {
            bus: bus.clone(),
            ..stage
        };
        let mut heard = stage.listener().await;
        let runs = Arc::new(AtomicUsize::new(0));
        let service = Service {
            stage: stage.clone(),
            runs: Arc::clone(&runs),
        };
        let service = bus.serve(WalletsServer::new(service)).await.unwrap();
        let stop = CancellationToken::new();
        let relaying = tokio::spawn(stage.relay().run_until(stop.clone().cancelled_owned()));
        let sweep = Sweep::new(&stage.inbox, stage.pool.clone());
        let sweeping = tokio::spawn(sweep.run_until(stop.clone().cancelled_owned()));

        for round in 0..3 {
            let caller = connect().await.unwrap();
            let wallets = WalletsClient::new(&caller);
            assert_eq!(wallets.take(30).idempotency_key("a").await.unwrap(), 70);
            assert_eq!(
                wallets.take_claimed(30).idempotency_key("a").await.unwrap(),
                40
            );
            let refused = wallets.take(41).idempotency_key("b").await.unwrap_err();
            let expected = TakeError::Insufficient { left: 40 };
            assert_eq!(refused.handler(), Some(&expected), "round {round}");
            let conflict = wallets.take(5).idempotency_key("a").await.unwrap_err();
            assert_eq!(conflict.handler(), Some(&TakeError::KeyConflict));
            assert_eq!(
                runs.load(Ordering::Relaxed),
                3,
                "of three requests, round {round}"
            );
            caller.close(wait::AT_MOST).await;
            redis.cli(&["FLUSHALL"]).await.unwrap();
        }
        assert_eq!(stage.number("SELECT amount FROM wallet").await, 40);
        for left in ["70", "40"] {
            assert_eq!(crate::stage::next(&mut heard).await.0, left);
        }
        stage.is_empty().await;
        stop.cancel();
        wait::bounded(async { (relaying.await.unwrap(), sweeping.await.unwrap()) }).await;
        service.shutdown().await.unwrap();
        bus.close(wait::AT_MOST).await;
        clean_up(&amqp, &namespace).await;
    })
    .await;
}

/// Deletes what the test declared.
async fn clean_up(amqp: &str, namespace: &str) {
    let connection = lapin::Connection::connect(amqp, Default::default());
    let channel = connection.await.unwrap().create_channel().await.unwrap();
    for suffix in ["", ".dead"] {
        let queue = format!("{namespace}.replybus-sql.wallets{suffix}");
        let deleted = channel.queue_delete(queue.into(), Default::default());
        deleted.await.unwrap();
    }
    let exchange = format!("{namespace}.{}", Happened::EXCHANGE);
    let deleted = channel.exchange_delete(exchange.into(), Default::default());
    deleted.await.unwrap();
}
