//! The servers, all of them private: RabbitMQ, Redis and PostgreSQL.

use anyhow::Result;
use replybus_testkit::servers::{
    Persistence, PrivatePostgres, PrivateRabbit, PrivateRedis, PrivateServer, Program,
};
use std::{fmt, fs, io, net::SocketAddr, time::Duration};
use tokio::{sync::Mutex, time::sleep};

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Rabbit,
    Redis,
    Postgres,
}

impl Server {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Rabbit, Self::Redis, Self::Postgres];
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rabbit => "RabbitMQ",
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// One of each. A fault that is done to one has it to itself meanwhile.
pub(crate) struct Servers {
    pub(crate) rabbit: Mutex<PrivateRabbit>,
    redis: Mutex<PrivateRedis>,
    postgres: Mutex<PrivatePostgres>,
}

/// The folder in which Redis keeps what it acknowledged.
const REDIS_DATA: &str = "appendonlydir";

impl Servers {
    /// Starts them.
    ///
    /// # Errors
    /// One is not installed, or does not start.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, none is left.
    pub(crate) async fn start() -> Result<Self> {
        let (rabbit, redis, postgres) = tokio::try_join!(
            PrivateRabbit::start(),
            // What it acknowledged it still knows when it is back, unless it is told to forget it.
            PrivateRedis::start(Persistence::AppendOnly),
            PrivatePostgres::start(),
        )?;
        Ok(Self {
            rabbit: Mutex::new(rabbit),
            redis: Mutex::new(redis),
            postgres: Mutex::new(postgres),
        })
    }

    /// Where they listen, in the order of [`Server::ALL`].
    pub(crate) async fn addresses(&self) -> [SocketAddr; Server::ALL.len()] {
        [
            self.rabbit.lock().await.address(),
            self.redis.lock().await.address(),
            self.postgres.lock().await.address(),
        ]
    }

    /// Kills one, and brings it back after a while.
    pub(crate) async fn kill_for(&self, server: Server, away: Duration) -> Result<()> {
        match server {
            Server::Rabbit => killed_for(&self.rabbit, away).await,
            Server::Redis => killed_for(&self.redis, away).await,
            Server::Postgres => killed_for(&self.postgres, away).await,
        }
    }

    /// Lets one end in good order, and brings it back after a while.
    pub(crate) async fn stop_for(&self, server: Server, away: Duration) -> Result<()> {
        match server {
            Server::Rabbit => stopped_for(&self.rabbit, away).await,
            Server::Redis => stopped_for(&self.redis, away).await,
            Server::Postgres => stopped_for(&self.postgres, away).await,
        }
    }

    /// Freezes one for a while.
    pub(crate) async fn freeze_for(&self, server: Server, away: Duration) {
        match server {
            Server::Rabbit => frozen_for(&self.rabbit, away).await,
            Server::Redis => frozen_for(&self.redis, away).await,
            Server::Postgres => frozen_for(&self.postgres, away).await,
        }
    }

    /// Empties Redis.
    pub(crate) async fn empty_redis(&self) -> Result<()> {
        self.redis.lock().await.cli(&["FLUSHALL"]).await?;
        Ok(())
    }

    /// The keys that Redis holds, and how many of them never expire.
    pub(crate) async fn redis_keys(&self) -> Result<(u64, u64)> {
        let info = self.redis.lock().await.cli(&["INFO", "keyspace"]).await?;
        let number = |name: &str| {
            let (_, rest) = info.split_once(name)?;
            let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
            digits.parse::<u64>().ok()
        };
        // An empty database is not listed.
        let keys = number("db0:keys=").unwrap_or(0);
        Ok((keys, keys.saturating_sub(number("expires=").unwrap_or(0))))
    }

    /// Kills Redis, and brings it back without its data.
    pub(crate) async fn forget_redis(&self, away: Duration) -> Result<()> {
        let mut redis = self.redis.lock().await;
        redis.kill();
        sleep(away).await;
        match fs::remove_dir_all(redis.path(REDIS_DATA)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        Ok(redis.restart().await?)
    }

    /// Brings back what a fault left away when it was broken off.
    pub(crate) async fn heal(&self) -> Result<()> {
        back(&self.rabbit).await?;
        back(&self.redis).await?;
        back(&self.postgres).await?;
        Ok(self.rabbit.lock().await.unblock_publishers().await?)
    }

    /// All queues, and the messages in each.
    pub(crate) async fn messages(&self) -> Result<Vec<(String, u64)>> {
        let rabbit = self.rabbit.lock().await;
        let listed = rabbit.ctl(&["list_queues", "name", "messages"]).await?;
        let lines = listed.lines().filter_map(|line| {
            let (queue, messages) = line.split_once('\t')?;
            Some((queue.to_owned(), messages.trim().parse().ok()?))
        });
        Ok(lines.collect())
    }
}

async fn killed_for<P: Program>(server: &Mutex<PrivateServer<P>>, away: Duration) -> Result<()> {
    let mut server = server.lock().await;
    server.kill();
    sleep(away).await;
    Ok(server.restart().await?)
}

async fn stopped_for<P: Program>(server: &Mutex<PrivateServer<P>>, away: Duration) -> Result<()> {
    let mut server = server.lock().await;
    server.stop().await;
    sleep(away).await;
    Ok(server.restart().await?)
}

async fn frozen_for<P>(server: &Mutex<PrivateServer<P>>, away: Duration)
where
    P: Program,
{
    let server = server.lock().await;
    server.freeze();
    sleep(away).await;
    server.thaw();
}

/// Lets it go on, and starts it if it is gone.
async fn back<P: Program>(server: &Mutex<PrivateServer<P>>) -> Result<()> {
    let mut server = server.lock().await;
    server.thaw();
    if !server.is_running() {
        server.restart().await?;
    }
    Ok(())
}
