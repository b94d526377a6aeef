//! Settings as they are given: by a flag or its variable, and those that are secret also by the
//! name of a file.

use super::{
    DATABASE_CONNECTIONS, DATABASE_URL, LogFormat, PemFile, PemFileParser, PemKind,
    PlatformSettings, Secret, SecretFileParser, SecretParser, TlsSettings, amqp_url, database_url,
    redis_url,
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

    /// A file with the authorities (PEM) that vouch for RabbitMQ, in place of the platform's
    #[arg(long, env = "RABBITMQ_CA_FILE", value_name = "FILE", value_parser = PemFileParser(PemKind::Certificate))]
    amqp_ca_file: Option<PemFile>,

    /// A file with the certificate (PEM) that RabbitMQ is shown
    #[arg(long, env = "RABBITMQ_CERT_FILE", value_name = "FILE", requires = "amqp_key_file", value_parser = PemFileParser(PemKind::Certificate))]
    amqp_cert_file: Option<PemFile>,

    /// A file with the private key (PEM) of that certificate
    #[arg(long, env = "RABBITMQ_KEY_FILE", value_name = "FILE", requires = "amqp_cert_file", value_parser = PemFileParser(PemKind::PrivateKey))]
    amqp_key_file: Option<PemFile>,

    /// Redis, such as redis://host:6379/0; without it replies and sessions stay in this process
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL", value_parser = SecretParser(redis_url))]
    redis_url: Option<Secret>,

    /// A file with the address of Redis
    #[arg(long, env = "REDIS_URL_FILE", value_name = "FILE", conflicts_with = "redis_url", value_parser = SecretFileParser(redis_url))]
    redis_url_file: Option<Secret>,

    /// A file with the authorities (PEM) that vouch for Redis, in place of the platform's
    #[arg(long, env = "REDIS_CA_FILE", value_name = "FILE", value_parser = PemFileParser(PemKind::Certificate))]
    redis_ca_file: Option<PemFile>,

    /// A file with the certificate (PEM) that Redis is shown
    #[arg(long, env = "REDIS_CERT_FILE", value_name = "FILE", requires = "redis_key_file", value_parser = PemFileParser(PemKind::Certificate))]
    redis_cert_file: Option<PemFile>,

    /// A file with the private key (PEM) of that certificate
    #[arg(long, env = "REDIS_KEY_FILE", value_name = "FILE", requires = "redis_cert_file", value_parser = PemFileParser(PemKind::PrivateKey))]
    redis_key_file: Option<PemFile>,

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

    /// A file with the authorities (PEM) that vouch for PostgreSQL, beside the platform's
    #[arg(long, env = "DATABASE_CA_FILE", value_name = "FILE", value_parser = PemFileParser(PemKind::Certificate))]
    database_ca_file: Option<PemFile>,

    /// A file with the certificate (PEM) that PostgreSQL is shown
    #[arg(long, env = "DATABASE_CERT_FILE", value_name = "FILE", requires = "database_key_file", value_parser = PemFileParser(PemKind::Certificate))]
    database_cert_file: Option<PemFile>,

    /// A file with the private key (PEM) of that certificate
    #[arg(long, env = "DATABASE_KEY_FILE", value_name = "FILE", requires = "database_cert_file", value_parser = PemFileParser(PemKind::PrivateKey))]
    database_key_file: Option<PemFile>,

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
            amqp_tls: TlsSettings::new(
                given.amqp_ca_file,
                given.amqp_cert_file,
                given.amqp_key_file,
            ),
            redis_url: given.redis_url_file.or(given.redis_url),
            redis_tls: TlsSettings::new(
                given.redis_ca_file,
                given.redis_cert_file,
                given.redis_key_file,
            ),
            database_url: given.database_url_file.unwrap_or(given.database_url),
            database_tls: TlsSettings::new(
                given.database_ca_file,
                given.database_cert_file,
                given.database_key_file,
            ),
            database_connections: given.database_connections,
            keys_dir: given.keys_dir,
            namespace: given.namespace,
            probe_addr: given.probe_addr,
            log_format: given.log_format,
            flight_record: given.flight_record,
        }
    }
}
