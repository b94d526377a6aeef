//! Settings that all services share, from flags and the environment.

mod given;
mod secret;
mod tls;

pub use secret::{Secret, SecretFileParser, SecretParser};
pub use tls::{PemFile, PemFileParser, PemKind, TlsSettings};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};
use url::Url;

/// `true` if this program was built with encrypted connections.
pub(crate) const HAS_TLS: bool = cfg!(feature = "tls");

/// The answer to an address that asks for encryption, of a program that has none.
const WITHOUT_TLS: &str = "the address asks for TLS, and this program was built without it: build it \
                           with the feature `tls` (cargo build --features tls)";

/// Without `--database-url`.
const DATABASE_URL: &str = "sqlite::memory:";
/// Without `--database-connections`.
const DATABASE_CONNECTIONS: u32 = 10;

/// The addresses of servers, and the keys by which programs know each other. By default there are
/// none: everything stays in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformSettings {
    /// RabbitMQ, such as amqp://user:password@host:5672/%2f; without it calls stay in this process
    pub amqp_url: Option<Secret>,

    /// The certificates of connections to RabbitMQ
    pub amqp_tls: TlsSettings,

    /// Redis, such as redis://host:6379/0; without it replies and sessions stay in this process
    pub redis_url: Option<Secret>,

    /// The certificates of connections to Redis
    pub redis_tls: TlsSettings,

    /// postgres://user:password@host:5432/database, where each service has a schema; sqlite:DIR,
    /// where each has a file; or sqlite::memory:, which forgets everything at the end
    pub database_url: Secret,

    /// The certificates of connections to PostgreSQL
    pub database_tls: TlsSettings,

    /// Connections to PostgreSQL, for each service
    pub database_connections: u32,

    /// Directory of the keys that `bank keys` writes; without it they are drawn at start, which is
    /// enough for one process
    pub keys_dir: Option<PathBuf>,

    /// Prefix of all queues, exchanges and keys, so that several banks can share servers
    pub namespace: String,

    /// Address for probes: /livez, /readyz, /health, /info and /metrics; without it there is none
    pub probe_addr: Option<SocketAddr>,

    /// How log lines are written
    pub log_format: LogFormat,

    /// Whether it is recorded in Redis what becomes of calls, for `replybus explain`
    pub flight_record: bool,
}

impl Default for PlatformSettings {
    /// As without any flag or variable.
    fn default() -> Self {
        Self {
            amqp_url: None,
            amqp_tls: TlsSettings::default(),
            redis_url: None,
            redis_tls: TlsSettings::default(),
            database_url: Secret::new(DATABASE_URL.to_owned()),
            database_tls: TlsSettings::default(),
            database_connections: DATABASE_CONNECTIONS,
            keys_dir: None,
            namespace: String::new(),
            probe_addr: None,
            log_format: LogFormat::Text,
            flight_record: false,
        }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The address of RabbitMQ, as a [`SecretParser`] reads it.
///
/// # Errors
/// It is none, or asks for TLS, which this program was built without.
pub fn amqp_url(text: &str) -> Result<Secret, String> {
    with_scheme(text, &["amqp", "amqps"])
}

/// The address of Redis, likewise.
///
/// # Errors
/// As of [`amqp_url`].
pub fn redis_url(text: &str) -> Result<Secret, String> {
    with_scheme(text, &["redis", "rediss"])
}

/// The address of PostgreSQL, or where SQLite's files are, likewise.
///
/// # Errors
/// As of [`amqp_url`].
pub fn database_url(text: &str) -> Result<Secret, String> {
    if let Some(directory) = text.strip_prefix("sqlite:") {
        return if matches!(directory, "" | "//") {
            Err("sqlite: is followed by a directory or by :memory:".to_owned())
        } else {
            Ok(Secret::new(text.to_owned()))
        };
    }
    with_scheme(text, &["postgres", "postgresql"])
        .map_err(|reason| format!("{reason}, or sqlite:DIR"))
        .and_then(|url| check_tls(requires_tls(text), HAS_TLS).map(|()| url))
}

/// `true` if a connection to PostgreSQL must be encrypted, by its address or by `PGSSLMODE`.
fn requires_tls(database_url: &str) -> bool {
    use PgSslMode::{Require, VerifyCa, VerifyFull};
    let options: Result<PgConnectOptions, _> = database_url.parse();
    options.is_ok_and(|options| matches!(options.get_ssl_mode(), Require | VerifyCa | VerifyFull))
}

/// `true` if PostgreSQL is asked over a network and would be asked in the clear, though its address
/// leaves the choice to the server: a program without TLS has none.
pub(crate) fn gives_up_encryption(database_url: &str, has_tls: bool) -> bool {
    use PgSslMode::{Allow, Prefer};
    let options: Result<PgConnectOptions, _> = database_url.parse();
    options.is_ok_and(|options| {
        let host = options.get_host().trim_matches(['[', ']']);
        let is_near = host == "localhost"
            || options.get_socket().is_some()
            || host
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback());
        !has_tls && !is_near && matches!(options.get_ssl_mode(), Allow | Prefer)
    })
}

fn check_tls(required: bool, had: bool) -> Result<(), String> {
    if required && !had {
        return Err(WITHOUT_TLS.to_owned());
    }
    Ok(())
}

/// The reasons name no part of the address: it may hold a password.
fn with_scheme(text: &str, allowed: &[&str]) -> Result<Secret, String> {
    let url = Url::parse(text).map_err(|error| format!("not an address: {error}"))?;
    if !allowed.contains(&url.scheme()) {
        let allowed = allowed.join(":// or ");
        return Err(format!("an address begins with {allowed}://"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the address names no host".to_owned());
    }
    check_tls(matches!(url.scheme(), "amqps" | "rediss"), HAS_TLS)?;
    Ok(Secret::new(text.to_owned()))
}

impl PlatformSettings {
    /// The default, but for where data is. The address is not checked before it is used.
    #[must_use]
    pub fn with_database(url: &str) -> Self {
        Self {
            database_url: Secret::new(url.to_owned()),
            ..Self::default()
        }
    }

    /// `true` if data is gone at the end of the process.
    #[must_use]
    pub fn forgets_data(&self) -> bool {
        self.database_url.reveal().contains(":memory:")
    }

    /// Refuses certificates for a server of the bus to which nothing is encrypted.
    pub(crate) fn check_encryption(&self) -> anyhow::Result<()> {
        let (amqp, redis) = (self.amqp_url.as_ref(), self.redis_url.as_ref());
        self.amqp_tls.check("RabbitMQ", amqp, "amqps://")?;
        self.redis_tls.check("Redis", redis, "rediss://")
    }

    /// Refuses settings with which a service alone in its process could not be reached, or, if it
    /// keeps data, would forget it at its end.
    ///
    /// # Errors
    /// A setting is missing; it is named, with what is missing without it.
    pub fn check_standalone(&self, keeps_data: bool) -> anyhow::Result<()> {
        let missing = [
            (self.amqp_url.is_none(), "--amqp-url (RABBITMQ_URL)"),
            (self.redis_url.is_none(), "--redis-url (REDIS_URL)"),
            (
                self.keys_dir.is_none(),
                "--keys-dir (KEYS_DIR, made by `bank keys`)",
            ),
            (
                keeps_data && self.forgets_data(),
                "--database-url (DATABASE_URL, one that outlives the process)",
            ),
        ];
        let missing: Vec<_> = missing
            .into_iter()
            .filter_map(|(is_missing, name)| is_missing.then_some(name))
            .collect();
        anyhow::ensure!(
            missing.is_empty(),
            "services in processes of their own meet over RabbitMQ and Redis, trust the same keys, \
             and outlive each other: {} must be set",
            missing.join(", ")
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, FromArgMatches as _, Parser};

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        platform: PlatformSettings,
    }

    #[test]
    fn a_bad_address_is_refused_and_its_password_not_repeated() {
        for (flag, value) in [
            ("--amqp-url", "http://user:hunter2@host"),
            ("--amqp-url", "amqp:hunter2"),
            ("--amqp-url", "amqp://user:hunter2@host:99999"),
            ("--redis-url", "redis://"),
            ("--redis-url", "hunter2"),
            ("--database-url", "mysql://user:hunter2@host/bank"),
            ("--database-url", "sqlite:"),
        ] {
            let refused = Program::try_parse_from(["service", flag, value]).unwrap_err();
            let told = refused.to_string();
            assert!(told.contains(flag) && told.contains("address") || told.contains("sqlite"));
            let told = format!("{told} {refused:?}");
            assert!(!told.contains("hunter2"), "{flag}: {told}");
        }
    }

    #[test]
    fn a_secret_is_read_from_a_file_as_it_is_from_a_flag() {
        let directory = std::env::temp_dir().join(format!("secrets-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&directory).unwrap();
        let path = directory.join("secret");
        let path = path.to_str().unwrap();
        let read = |arguments: &[&str]| {
            let command = Program::command().mut_args(|argument| argument.env(None::<&str>));
            let matches = command.try_get_matches_from([&["service"], arguments].concat())?;
            Program::from_arg_matches(&matches).map(|program| program.platform)
        };
        for (flag, url) in [
            ("--amqp-url", "amqp://user:hunter2@host:5672/%2f"),
            ("--redis-url", "redis://:hunter2@host/3"),
            ("--database-url", "postgres://user:hunter2@host/bank"),
        ] {
            let by_file = format!("{flag}-file");
            for end in ["", "\n", "\r\n"] {
                std::fs::write(path, format!("{url}{end}")).unwrap();
                let given = read(&[&by_file, path]).unwrap();
                assert_eq!(given, read(&[flag, url]).unwrap(), "{flag}");
            }
            assert!(
                read(&[&by_file, path, flag, url]).is_err(),
                "both of {flag}"
            );
            for wrong in [format!("hunter2 {url}"), "hunter2".repeat(10_000)] {
                std::fs::write(path, wrong).unwrap();
                let told = read(&[&by_file, path]).unwrap_err().to_string();
                assert!(
                    told.contains(&by_file) && !told.contains("hunter2"),
                    "{told}"
                );
            }
            // What was meant for the other flag is not shown.
            let told = read(&[&by_file, "hunter2"]).unwrap_err().to_string();
            assert!(
                told.contains("can't be read") && !told.contains("hunter2"),
                "{told}"
            );
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn tls_is_had_or_refused_by_the_name_of_its_feature() {
        for (flag, value) in [
            ("--amqp-url", "amqps://user:hunter2@host/%2f"),
            ("--redis-url", "rediss://:hunter2@host"),
            (
                "--database-url",
                "postgres://u:hunter2@host/bank?sslmode=require",
            ),
            (
                "--database-url",
                "postgres://u:hunter2@host/bank?sslmode=verify-ca",
            ),
            (
                "--database-url",
                "postgres://u:hunter2@host/bank?ssl-mode=Verify-Full",
            ),
        ] {
            let read = Program::try_parse_from(["service", flag, value]);
            assert_eq!(read.is_ok(), HAS_TLS, "{value}");
            if let Err(refused) = read {
                let told = refused.to_string();
                assert!(
                    told.contains("feature `tls`") && told.contains(flag),
                    "{told}"
                );
                assert!(!told.contains("hunter2"), "{told}");
            }
        }
        // Whatever this test was built with.
        let refused = check_tls(true, false).unwrap_err();
        assert!(refused.contains("feature `tls`"), "{refused}");
        assert_eq!(check_tls(true, true), Ok(()));
        assert_eq!(check_tls(false, false), Ok(()));
        for mode in ["require", "verify-ca", "verify-full"] {
            let url = format!("postgres://u@host/bank?sslmode={mode}");
            assert!(requires_tls(&url), "{mode}");
        }
        for mode in ["disable", "prefer"] {
            let url = format!("postgres://u@host/bank?sslmode={mode}");
            assert!(Program::try_parse_from(["service", "--database-url", &url]).is_ok());
        }
    }

    #[test]
    fn encryption_is_given_up_only_over_a_network_and_without_tls() {
        let far = "postgres://u@db.example/bank";
        assert!(gives_up_encryption(far, false));
        assert!(!gives_up_encryption(far, true));
        for url in [
            "postgres://u@127.0.0.1/bank",
            "postgres://u@localhost/bank",
            "postgres://u@[::1]/bank",
            "postgres:///bank?host=/var/run/postgresql",
            "postgres://u@db.example/bank?sslmode=disable",
        ] {
            assert!(!gives_up_encryption(url, false), "{url}");
        }
    }

    #[test]
    fn the_default_is_that_of_the_flags() {
        // Not what the environment of the tests may say.
        let command = Program::command().mut_args(|argument| argument.env(None::<&str>));
        let matches = command.get_matches_from(["service"]);
        let program = Program::from_arg_matches(&matches).unwrap();
        assert_eq!(program.platform, PlatformSettings::default());
    }

    #[test]
    fn no_debug_shows_a_password() {
        let url = "amqp://user:hunter2@host:5672/%2f";
        let program = Program::try_parse_from(["service", "--amqp-url", url]).unwrap();
        assert!(!format!("{program:?}").contains("hunter2"));
        assert!(program.platform.check_standalone(false).is_err());
    }
}
