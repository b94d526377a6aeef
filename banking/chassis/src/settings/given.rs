//! Settings as they are given: by a flag or its variable, and those that are secret also by the
//! name of a file.

use super::{
    DATABASE_CONNECTIONS, DATABASE_URL, LogFormat, PlatformSettings, Secret, SecretFileParser,
    SecretParser, amqp_url, database_url, redis_url,
};
use clap::Args;
use std::{net::SocketAddr, path::PathBuf};

/// Has `$settings` read from flags and variables as `$given` are, which then become them.
#[macro_export]
macro_rules! settings_given_as {
    ($settings:ty, $given:ty) => {
        impl clap::FromArgMatches for $settings {
            fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
                <$given as clap::FromArgMatches>::from_arg_matches(matches).map(Self::from)
            }

            fn update_from_arg_matches(
                &mut self,
                matches: &clap::ArgMatches,
            ) -> Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }

        impl clap::Args for $settings {
            fn augment_args(command: clap::Command) -> clap::Command {
                <$given as clap::Args>::augment_args(command)
            }

            fn augment_args_for_update(command: clap::Command) -> clap::Command {
                <$given as clap::Args>::augment_args_for_update(command)
            }
        }
    };
}

settings_given_as!(PlatformSettings, Given);

#[derive(Debug, Args)]
#[group(id = "platform")]
struct Given {
    /// RabbitMQ, such as amqp://user:password@host:5672/%2f; without it calls stay in this process
    #[arg(long, env = "RABBITMQ_URL", hide_env_values = true, value_name = "URL", value_parser = SecretParser(amqp_url))]
    amqp_url: Option<Secret>,

    /// A file with the address of RabbitMQ
    #[arg(long, env = "RABBITMQ_URL_FILE", value_name = "FILE", conflicts_with = "amqp_url", value_parser = SecretFileParser(amqp_url))]
    amqp_url_file: Option<Secret>,

    /// Redis, such as redis://host:6379/0; without it replies and sessions stay in this process
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL", value_parser = SecretParser(redis_url))]
    redis_url: Option<Secret>,

    /// A file with the address of Redis
    #[arg(long, env = "REDIS_URL_FILE", value_name = "FILE", conflicts_with = "redis_url", value_parser = SecretFileParser(redis_url))]
    redis_url_file: Option<Secret>,

    /// postgres://user:password@host:5432/database, where each service has a schema; sqlite:DIR,
    /// where each has a file; or sqlite::memory:, which forgets everything at the end
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = DATABASE_URL,
        value_parser = SecretParser(database_url)
    )]
    database_url: Secret,

    /// A file with the address of the database
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE", conflicts_with = "database_url", value_parser = SecretFileParser(database_url))]
    database_url_file: Option<Secret>,

    /// Connections to PostgreSQL, for each service
    #[arg(
        long,
        env = "DATABASE_CONNECTIONS",
        value_name = "N",
        default_value_t = DATABASE_CONNECTIONS,
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    database_connections: u32,

    /// Directory of the keys that `bank keys` writes; without it they are drawn at start, which is
    /// enough for one process
    #[arg(long, env = "KEYS_DIR", value_name = "DIR")]
    keys_dir: Option<PathBuf>,

    /// Prefix of all queues, exchanges and keys, so that several banks can share servers
    #[arg(long, env = "BUS_NAMESPACE", value_name = "NAME", default_value = "")]
    namespace: String,

    /// Address for probes: /livez, /readyz, /health, /info and /metrics; without it there is none
    #[arg(long, env = "PROBE_ADDR", value_name = "ADDR")]
    probe_addr: Option<SocketAddr>,

    /// Form of log lines
    #[arg(
        long,
        env = "LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,

    /// Whether it is recorded in Redis what becomes of calls, for `replybus explain`
    #[arg(
        long,
        env = "FLIGHT_RECORD",
        value_name = "BOOL",
        default_value_t = false,
        action = clap::ArgAction::Set
    )]
    flight_record: bool,
}

impl From<Given> for PlatformSettings {
    fn from(given: Given) -> Self {
        Self {
            amqp_url: given.amqp_url_file.or(given.amqp_url),
            redis_url: given.redis_url_file.or(given.redis_url),
            database_url: given.database_url_file.unwrap_or(given.database_url),
            database_connections: given.database_connections,
            keys_dir: given.keys_dir,
            namespace: given.namespace,
            probe_addr: given.probe_addr,
            log_format: given.log_format,
            flight_record: given.flight_record,
        }
    }
}
