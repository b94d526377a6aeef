//! Settings of the gateway, from flags and the environment.

use crate::{limits::PER_MINUTE_MAX, request::Network};
use chassis::{
    settings::{Secret, SecretFileParser, SecretParser},
    settings_given_as,
};
use clap::ArgAction;
use live_feed::ws::Origin;
use std::net::SocketAddr;

/// A shorter secret is guessed.
const ADMIN_SECRET_BYTES_MIN: usize = 16;

/// Failures in a row after which a method's calls are refused, unless it is set: one or two happen
/// when a service is restarted.
const BREAKER_FAILURES: u32 = 5;
/// Seconds for which they are, unless it is set. Whoever waits for a service that was killed and is
/// back waits for as long, and each try costs a caller its patience, so it is neither long nor nothing.
const BREAKER_OPEN_SECONDS: u32 = 2;

/// Settings of the gateway.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpSettings {
    /// Where it listens.
    pub http_addr: SocketAddr,
    /// The administrator's secret; without it the admin routes are off.
    pub admin_secret: Option<Secret>,
    /// `false` if `/metrics` is where the probes are, and nowhere else.
    pub public_metrics: bool,
    /// The origins of pages that may open `/ws`, beside the gateway's own.
    pub ws_origins: Vec<Origin>,
    /// Connections from one address, if it is not as many as by default.
    pub connections_per_address: Option<u16>,
    /// Registrations of one client in a minute, if they are not as many as by default; 0 is without
    /// bound, as for the next two.
    pub registrations_per_minute: Option<u32>,
    /// Logins and changes of passwords of one client in a minute.
    pub logins_per_minute: Option<u32>,
    /// Lookups of accounts by one client in a minute, by transfers and standing orders too.
    pub lookups_per_minute: Option<u32>,
    /// Proxies that are believed who asked them, by `X-Forwarded-For`.
    pub trusted_proxies: Vec<Network>,
    /// Calls of one method that fail in a row before the next are refused at once.
    pub breaker_failures: u32,
    /// For how long they are, before one is let through to try.
    pub breaker_open_seconds: u32,
}

impl HttpSettings {
    /// Settings of a gateway at that address: no administrator, and all else as by default.
    #[must_use]
    pub fn at(http_addr: SocketAddr) -> Self {
        Self {
            http_addr,
            admin_secret: None,
            public_metrics: true,
            ws_origins: Vec::new(),
            connections_per_address: None,
            registrations_per_minute: None,
            logins_per_minute: None,
            lookups_per_minute: None,
            trusted_proxies: Vec::new(),
            breaker_failures: BREAKER_FAILURES,
            breaker_open_seconds: BREAKER_OPEN_SECONDS,
        }
    }
}

settings_given_as!(HttpSettings, Given);

#[derive(Debug, clap::Args)]
#[group(id = "http")]
struct Given {
    /// Address to listen on
    #[arg(
        long,
        env = "HTTP_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    http_addr: SocketAddr,

    /// What X-Admin-Secret must be; without it the admin routes are off
    #[arg(long, env = "ADMIN_SECRET", hide_env_values = true, value_name = "SECRET", value_parser = SecretParser(admin_secret))]
    admin_secret: Option<Secret>,

    /// A file with what X-Admin-Secret must be
    #[arg(long, env = "ADMIN_SECRET_FILE", value_name = "FILE", conflicts_with = "admin_secret", value_parser = SecretFileParser(admin_secret))]
    admin_secret_file: Option<Secret>,

    /// Whether /metrics is also at the address it listens on, and not with the probes alone
    #[arg(
        long,
        env = "PUBLIC_METRICS",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set
    )]
    public_metrics: bool,

    /// Origins of pages that may open /ws, such as https://bank.example.org, beside its own
    #[arg(long, env = "WS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    ws_origins: Vec<Origin>,

    /// Connections that may be open from one address; 512 unless given. All clients of a proxy come
    /// from its address
    #[arg(
        long,
        env = "CONNECTIONS_PER_ADDRESS",
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=16384)
    )]
    connections_per_address: Option<u16>,

    /// Registrations of one address in a minute; 0 is without bound; 6000 for each processor unless
    /// given
    #[arg(
        long,
        env = "REGISTRATIONS_PER_MINUTE",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(..=i64::from(PER_MINUTE_MAX))
    )]
    registrations_per_minute: Option<u32>,

    /// Logins and password changes of one address in a minute; 0 is without bound; 6000 for each
    /// processor unless given
    #[arg(
        long,
        env = "LOGINS_PER_MINUTE",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(..=i64::from(PER_MINUTE_MAX))
    )]
    logins_per_minute: Option<u32>,

    /// Lookups of accounts, transfers and standing orders by one address in a minute; 0 is without
    /// bound; 60000 for each processor unless given
    #[arg(
        long,
        env = "LOOKUPS_PER_MINUTE",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(..=i64::from(PER_MINUTE_MAX))
    )]
    lookups_per_minute: Option<u32>,

    /// Addresses or networks of proxies, such as 10.0.0.0/8, whose X-Forwarded-For is believed
    #[arg(
        long,
        env = "TRUSTED_PROXIES",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    trusted_proxies: Vec<Network>,

    /// Calls of one method of a service that fail in a row before the next are refused at once
    #[arg(
        long,
        env = "BREAKER_FAILURES",
        value_name = "N",
        default_value_t = BREAKER_FAILURES,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    breaker_failures: u32,

    /// For how many seconds they are refused, before one is let through to try. A service that is
    /// back is noticed after so long
    #[arg(
        long,
        env = "BREAKER_OPEN_SECONDS",
        value_name = "SECONDS",
        default_value_t = BREAKER_OPEN_SECONDS,
        value_parser = clap::value_parser!(u32).range(1..=3600)
    )]
    breaker_open_seconds: u32,
}

impl From<Given> for HttpSettings {
    fn from(given: Given) -> Self {
        Self {
            http_addr: given.http_addr,
            admin_secret: given.admin_secret_file.or(given.admin_secret),
            public_metrics: given.public_metrics,
            ws_origins: given.ws_origins,
            connections_per_address: given.connections_per_address,
            registrations_per_minute: given.registrations_per_minute,
            logins_per_minute: given.logins_per_minute,
            lookups_per_minute: given.lookups_per_minute,
            trusted_proxies: given.trusted_proxies,
            breaker_failures: given.breaker_failures,
            breaker_open_seconds: given.breaker_open_seconds,
        }
    }
}

/// The reasons do not repeat the secret.
fn admin_secret(text: &str) -> Result<Secret, String> {
    if text.len() < ADMIN_SECRET_BYTES_MIN {
        return Err(format!(
            "at least {ADMIN_SECRET_BYTES_MIN} characters are needed"
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it travels in a header: printable ASCII without spaces is needed".to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        http: HttpSettings,
    }

    #[test]
    fn a_refused_secret_is_not_repeated() {
        let arguments = ["gateway", "--admin-secret", "hun ter2hun ter2"];
        let refused = Program::try_parse_from(arguments).unwrap_err().to_string();
        assert!(refused.contains("--admin-secret"), "{refused}");
        assert!(!refused.contains("ter2"), "{refused}");
    }

    #[test]
    fn a_secret_that_is_short_or_can_not_be_sent_is_refused() {
        for refused in [
            "",
            "eight888",
            "fifteen-15-char",
            "with spaces in between",
            "zwölf Zeichen und noch vier",
            "tab\ttabtabtabtabtab",
        ] {
            let reason = admin_secret(refused).unwrap_err();
            assert!(refused.is_empty() || !reason.contains(refused), "{reason}");
        }
        assert!(admin_secret("sixteen-16-chars").is_ok());
    }
}
