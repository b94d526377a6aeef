//! The servers that tests, examples, the bank and benchmarks talk to.

use clap::ValueEnum;
use replybus_testkit::servers::{Nats, Postgres, Program as _, RabbitMq, Redis};
use std::fmt;

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum Server {
    /// RabbitMQ.
    RabbitMq,
    /// Redis, or Valkey.
    Redis,
    /// PostgreSQL.
    Postgres,
    /// NATS, which only a benchmark needs, to compare with.
    Nats,
}

impl Server {
    /// Those that tests and the bank need.
    pub(crate) const NEEDED: [Self; 3] = [Self::RabbitMq, Self::Redis, Self::Postgres];

    /// Its name in commands and files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RabbitMq => "rabbitmq",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Nats => "nats",
        }
    }

    /// The environment variable with its address.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::RabbitMq => "AMQP_URL",
            Self::Redis => "REDIS_URL",
            Self::Postgres => "DATABASE_URL",
            Self::Nats => "NATS_URL",
        }
    }

    /// The port it usually has.
    pub(crate) fn default_port(self) -> u16 {
        match self {
            Self::RabbitMq => 5672,
            Self::Redis => 6379,
            Self::Postgres => 5432,
            Self::Nats => 4222,
        }
    }

    /// The Debian package that it is in.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::RabbitMq => "rabbitmq-server",
            Self::Redis => "redis-server",
            Self::Postgres => "postgresql",
            Self::Nats => "nats-server",
        }
    }

    /// The image that it is in.
    pub(crate) fn image(self) -> &'static str {
        match self {
            Self::RabbitMq => "rabbitmq:3",
            Self::Redis => "redis:7",
            Self::Postgres => "postgres:15",
            Self::Nats => "nats:2",
        }
    }

    /// The address of one on this machine with default settings.
    pub(crate) fn local_url(self, port: u16) -> String {
        match self {
            Self::RabbitMq => RabbitMq::url(port),
            Self::Redis => Redis::url(port),
            Self::Postgres => Postgres::url(port),
            Self::Nats => Nats::url(port),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RabbitMq => "RabbitMQ",
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
            Self::Nats => "NATS",
        })
    }
}
