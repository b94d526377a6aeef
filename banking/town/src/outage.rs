//! Servers that fail under a bank: a RabbitMQ and a Redis of its own, which are killed, and a way
//! to the PostgreSQL that tests share, which breaks.

use crate::site::Servers;
use anyhow::{Context as _, Result};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use replybus_testkit::{
    live,
    proxy::{Mode, Proxy},
    servers::{Persistence, PrivateRabbit, PrivateRedis},
};
use std::time::Duration;
use tokio::time::sleep;

/// The longest time that a server is away, and that there is peace.
const AWAY_MS_MAX: u64 = 2_000;
const PEACE_MS_MAX: u64 = 3_000;

/// Two servers of one's own, and a proxy in front of the third.
#[allow(
    missing_debug_implementations,
    reason = "it knows addresses that hold passwords"
)]
pub struct FrailServers {
    rabbit: PrivateRabbit,
    redis: PrivateRedis,
    postgres: Proxy,
    postgres_url: String,
}

/// Failures of each server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outages {
    /// RabbitMQ was killed.
    pub rabbit: usize,
    /// Redis was killed.
    pub redis: usize,
    /// The way to PostgreSQL broke.
    pub postgres: usize,
}

impl Outages {
    /// `true` if each server has failed at least once.
    #[must_use]
    pub fn of_each(self) -> bool {
        self.rabbit > 0 && self.redis > 0 && self.postgres > 0
    }
}

#[derive(Clone, Copy)]
enum Server {
    Rabbit,
    Redis,
    Postgres,
}

/// Failures of the connections to PostgreSQL: reset; reset, and no new ones; silent; silent for
/// ever, but for new ones.
const BREAKS: [Mode; 4] = [Mode::Cut, Mode::Refuse, Mode::Swallow, Mode::SwallowOld];

impl FrailServers {
    /// Starts them; `None` if a server is not there and may be missing.
    ///
    /// # Errors
    /// PostgreSQL's address can't be read, or there is no port for the proxy.
    ///
    /// # Panics
    /// A server is missing and `BUS_REQUIRE_LIVE=1` is set, or it is there and does not start.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the servers are gone.
    pub async fn start() -> Result<Option<Self>> {
        let Some(url) = live::postgres().await else {
            return Ok(None);
        };
        let Some(rabbit) = live::require_or_skip(PrivateRabbit::start().await) else {
            return Ok(None);
        };
        // What it acknowledged it still knows when it is back: sessions, too.
        let redis = PrivateRedis::start(Persistence::AppendOnly).await;
        let Some(redis) = live::require_or_skip(redis) else {
            return Ok(None);
        };
        let (postgres, url) = Proxy::before(&url, 5432)
            .await
            .context("can't stand before PostgreSQL")?;
        Ok(Some(Self {
            rabbit,
            redis,
            postgres,
            postgres_url: url.into(),
        }))
    }

    /// Their addresses, also after each failure.
    #[must_use]
    pub fn servers(&self) -> Servers {
        Servers::at(
            self.rabbit.url(),
            self.redis.url(),
            self.postgres_url.clone(),
        )
    }

    /// Makes them fail one after the other, in an order and at moments that the seed decides, until
    /// `stop` says so between two failures, told how often each has failed. All of them work again
    /// then.
    ///
    /// # Errors
    /// A server does not start again.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, a server may be away.
    pub async fn fail(&mut self, seed: u64, stop: impl Fn(Outages) -> bool) -> Result<Outages> {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut outages = Outages::default();
        let mut next = Vec::new();
        while !stop(outages) {
            if next.is_empty() {
                next = vec![Server::Rabbit, Server::Redis, Server::Postgres];
                next.shuffle(&mut dice);
            }
            let away = Duration::from_millis(dice.random_range(0..AWAY_MS_MAX));
            match next.pop() {
                Some(Server::Rabbit) => {
                    self.rabbit.kill();
                    sleep(away).await;
                    self.rabbit.restart().await?;
                    outages.rabbit += 1;
                }
                Some(Server::Redis) => {
                    self.redis.kill();
                    sleep(away).await;
                    self.redis.restart().await?;
                    outages.redis += 1;
                }
                Some(Server::Postgres) => {
                    let broken = BREAKS.get(outages.postgres % BREAKS.len());
                    self.postgres.set(broken.copied().unwrap_or(Mode::Cut));
                    sleep(away).await;
                    self.postgres.set(Mode::Pass);
                    outages.postgres += 1;
                }
                None => {}
            }
            sleep(Duration::from_millis(dice.random_range(0..PEACE_MS_MAX))).await;
        }
        Ok(outages)
    }
}
