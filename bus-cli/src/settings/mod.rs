//! Which servers, and in which namespace.

mod file;
mod profile;
mod secret_url;
mod signing;
mod tls;

pub(crate) use secret_url::SecretUrl;
pub(crate) use tls::Tls;

use crate::failure::Failure;
use clap::Args;
use profile::Profile;
use replybus::signature::SigningKey;
use std::env;

/// Without anything that says otherwise.
const AMQP_URL: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";
const REDIS_URL: &str = "redis://127.0.0.1:6379/0";

/// Which servers. Addresses hold passwords, so they come from the environment or a file: what is on
/// a command line can be read by everybody on the machine.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Servers")]
pub(crate) struct ServerArgs {
    /// Take the servers of this profile, from $XDG_CONFIG_HOME/replybus/config.toml
    #[arg(long, global = true, env = "REPLYBUS_PROFILE", value_name = "NAME")]
    profile: Option<String>,

    /// The namespace of the bus, instead of BUS_NAMESPACE or the profile's
    #[arg(long, global = true, value_name = "NAME")]
    namespace: Option<String>,
}

/// The servers, found.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) amqp: SecretUrl,
    pub(crate) redis: SecretUrl,
    pub(crate) amqp_tls: Tls,
    pub(crate) redis_tls: Tls,
    pub(crate) signing_key: Option<SigningKey>,
    pub(crate) namespace: String,
    pub(crate) key_prefix: Option<String>,
}

impl ServerArgs {
    /// The servers that these arguments, the profile and the environment name: in this order.
    pub(crate) fn find(&self) -> Result<Servers, Failure> {
        let named = match &self.profile {
            Some(name) => Profile::read(name)?,
            None => Profile::default(),
        };
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let or_variable = |value: Option<String>, name: &str| value.or_else(|| variable(name));
        let amqp =
            or_variable(named.amqp_url.clone(), "AMQP_URL").unwrap_or_else(|| AMQP_URL.into());
        let redis =
            or_variable(named.redis_url.clone(), "REDIS_URL").unwrap_or_else(|| REDIS_URL.into());
        let namespace = self.namespace.clone().or(named.namespace.clone());
        let amqp_tls = Tls::read(named.amqp_tls(), "amqp", variable)?;
        let redis_tls = Tls::read(named.redis_tls(), "redis", variable)?;
        let signing_key = signing::read(named.signing_key(), variable)?;
        Ok(Servers {
            amqp_tls,
            redis_tls,
            signing_key,
            amqp: SecretUrl::new(amqp),
            redis: SecretUrl::new(redis),
            namespace: or_variable(namespace, "BUS_NAMESPACE").unwrap_or_default(),
            key_prefix: named.key_prefix,
        })
    }
}

/// What is said of one of two settings that go together.
fn lacks(given: &str, missing: &str) -> Failure {
    Failure::Usage(format!("{given} is given without {missing}"))
}
