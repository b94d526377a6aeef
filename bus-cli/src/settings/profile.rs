//! Named servers in a file of the user.

use crate::failure::{Failure, chain};
use serde::Deserialize;
use std::{collections::BTreeMap, env, fs, io, path::PathBuf};

/// The servers of one system.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    pub(super) amqp_url: Option<String>,
    pub(super) redis_url: Option<String>,
    amqp_ca_file: Option<String>,
    amqp_cert_file: Option<String>,
    amqp_key_file: Option<String>,
    redis_ca_file: Option<String>,
    redis_cert_file: Option<String>,
    redis_key_file: Option<String>,
    signing_key_file: Option<String>,
    signing_key_name: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) key_prefix: Option<String>,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

impl Profile {
    /// The files of authority, certificate and key for RabbitMQ.
    pub(super) fn amqp_tls(&self) -> [Option<String>; 3] {
        [
            &self.amqp_ca_file,
            &self.amqp_cert_file,
            &self.amqp_key_file,
        ]
        .map(Clone::clone)
    }

    /// Those for Redis.
    pub(super) fn redis_tls(&self) -> [Option<String>; 3] {
        [
            &self.redis_ca_file,
            &self.redis_cert_file,
            &self.redis_key_file,
        ]
        .map(Clone::clone)
    }

    /// The file of the key that requests are signed with, and the key's name.
    pub(super) fn signing_key(&self) -> (Option<String>, Option<String>) {
        (self.signing_key_file.clone(), self.signing_key_name.clone())
    }

    pub(super) fn read(name: &str) -> Result<Self, Failure> {
        let path = path()?;
        let place = path.display();
        let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::Usage(format!(
                "profile {name:?}: there is no {place}; it would hold [profiles.{name}] with \
                 amqp_url, redis_url and namespace"
            )),
            _ => Failure::because(&format!("profile {name:?}: {place} can't be read"), error),
        })?;
        Self::of(&text, name).map_err(|reason| Failure::Usage(format!("{place}: {reason}")))
    }

    fn of(text: &str, name: &str) -> Result<Self, String> {
        let config: Result<Config, toml::de::Error> = toml::from_str(text);
        let mut config = config.map_err(|error| {
            // Without the line, which may hold a password.
            let line = error.span().and_then(|span| text.get(..span.start));
            let line = line.map_or(0, |before| before.matches('\n').count() + 1);
            format!("near line {line}: {}", error.message())
        })?;
        config.profiles.remove(name).ok_or_else(|| {
            let known: Vec<_> = config.profiles.keys().map(String::as_str).collect();
            let known = known.join(", ");
            format!("there is no profile {name:?}; there are: {known}")
        })
    }
}

/// `$XDG_CONFIG_HOME/replybus/config.toml`, or that in `~/.config`.
fn path() -> Result<PathBuf, Failure> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let of_user = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let of_user = of_user.or_else(|| {
        let home = variable("HOME").or_else(|| variable("USERPROFILE"))?;
        Some(PathBuf::from(home).join(".config"))
    });
    let directory = of_user.ok_or_else(|| {
        let error = io::Error::other("neither XDG_CONFIG_HOME nor HOME is set");
        Failure::Usage(format!("profiles are not found: {}", chain(&error)))
    })?;
    Ok(directory.join("replybus").join("config.toml"))
}

#[cfg(test)]
mod tests {
    use super::Profile;

    const FILE: &str = "[profiles.prod]\namqp_url = \"amqp://a:hunter2@h\"\nnamespace = \"bank\"\n\
                        [profiles.test]\n";

    fn refused(text: &str, name: &str) -> String {
        let refused = Profile::of(text, name).err().unwrap();
        assert!(!refused.contains("hunter2"), "{refused}");
        refused
    }

    #[test]
    fn a_profile_has_what_it_says_and_nothing_else() {
        let prod = Profile::of(FILE, "prod").unwrap();
        assert_eq!(prod.amqp_url.as_deref(), Some("amqp://a:hunter2@h"));
        assert_eq!(prod.namespace.as_deref(), Some("bank"));
        assert_eq!(prod.redis_url, None);
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said_without_its_secrets() {
        assert!(refused(FILE, "live").contains("there are: prod, test"));
        let misspelt = FILE.replace("amqp_url", "amqp_uri");
        let text = refused(&misspelt, "prod");
        assert!(
            text.contains("amqp_uri") && text.contains("line 2"),
            "{text}"
        );
        refused("[profiles.prod]\namqp_url = \"hunter2", "prod");
    }
}
