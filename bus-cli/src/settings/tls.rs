//! Certificates of the connections to a server, by the names of files.

use super::{file, lacks};
use crate::failure::Failure;
use replybus::Amqp;
use replybus_redis::RedisReplies;
use std::fmt;

/// The ends of the names of settings, in the order in which they are given.
const ENDS: [&str; 3] = ["ca_file", "cert_file", "key_file"];

/// Who vouches for a server, and what it is shown: PEM.
#[derive(Default)]
pub(crate) struct Tls {
    authority: Option<String>,
    /// The certificate and its key.
    identity: Option<(String, String)>,
}

impl Tls {
    /// The files that the profile names, or else the variables of this server: authority,
    /// certificate and key.
    pub(super) fn read(
        named: [Option<String>; 3],
        server: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let names = ENDS.map(|end| format!("{server}_{end}"));
        let mut read = [const { None }; 3];
        for ((named, name), read) in named.into_iter().zip(&names).zip(&mut read) {
            let path = named.or_else(|| variable(&name.to_uppercase()));
            *read = path.map(|path| content(&path, name)).transpose()?;
        }
        let [authority, certificate, key] = read;
        let [_, certificate_name, key_name] = &names;
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err(lacks(certificate_name, key_name)),
            (None, Some(_)) => return Err(lacks(key_name, certificate_name)),
        };
        Ok(Self {
            authority,
            identity,
        })
    }

    pub(crate) fn broker(&self, amqp: Amqp) -> Amqp {
        #[cfg(feature = "tls")]
        let amqp = {
            let amqp = match &self.authority {
                Some(authority) => amqp.ca_certificate_pem(authority.as_str()),
                None => amqp,
            };
            match &self.identity {
                Some((certificate, key)) => amqp.identity_pem(certificate.as_str(), key.as_str()),
                None => amqp,
            }
        };
        amqp
    }

    pub(crate) fn replies(&self, redis: RedisReplies) -> RedisReplies {
        #[cfg(feature = "tls")]
        let redis = {
            let redis = match &self.authority {
                Some(authority) => redis.ca_certificate_pem(authority.as_str()),
                None => redis,
            };
            match &self.identity {
                Some((certificate, key)) => redis.identity_pem(certificate.as_str(), key.as_str()),
                None => redis,
            }
        };
        redis
    }

    /// A client of Redis, with them.
    pub(crate) fn client(&self, url: &str) -> redis::RedisResult<redis::Client> {
        #[cfg(feature = "tls")]
        if self.authority.is_some() || self.identity.is_some() {
            let bytes = |pem: &String| pem.clone().into_bytes();
            let identity = self.identity.as_ref();
            let certificates = redis::TlsCertificates {
                root_cert: self.authority.as_ref().map(bytes),
                client_tls: identity.map(|(certificate, key)| redis::ClientTlsConfig {
                    client_cert: bytes(certificate),
                    client_key: bytes(key),
                }),
            };
            return redis::Client::build_with_tls(url, certificates);
        }
        redis::Client::open(url)
    }
}

/// Without what is in the files.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("has_authority", &self.authority.is_some())
            .field("has_identity", &self.identity.is_some())
            .finish()
    }
}

fn content(path: &str, setting: &str) -> Result<String, Failure> {
    if cfg!(not(feature = "tls")) {
        return Err(Failure::Usage(format!(
            "{setting}: this program was built without TLS; build it with --features tls"
        )));
    }
    file::read(path, setting)
}

#[cfg(test)]
mod tests {
    use super::Tls;

    #[test]
    fn what_is_missing_is_named() {
        let nothing = |_: &str| None;
        let none = Tls::read([const { None }; 3], "amqp", nothing).unwrap();
        assert!(none.authority.is_none() && none.identity.is_none());
        let gone = |name: &str| (name == "REDIS_CA_FILE").then(|| "/none/hunter2".to_owned());
        let refused = Tls::read([const { None }; 3], "redis", gone).unwrap_err();
        let told = refused.text().unwrap();
        assert!(
            told.contains("redis_ca_file") && !told.contains("hunter2"),
            "{told}"
        );
        if cfg!(feature = "tls") {
            let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
            let half = [None, Some(here.to_owned()), None];
            let refused = Tls::read(half, "redis", nothing).unwrap_err();
            let told = refused.text().unwrap();
            assert!(told.contains("redis_cert_file is given without redis_key_file"));
        }
    }
}
