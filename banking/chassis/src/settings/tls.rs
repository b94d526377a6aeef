//! Certificates, by the names of files: who vouches for a server, and what it is shown.

use super::{
    HAS_TLS, Secret,
    secret::{read, refused},
};
use clap::{Arg, Command, builder::TypedValueParser};
use replybus::Amqp;
use replybus_redis::RedisReplies;
use std::{ffi::OsStr, fmt, path::PathBuf};

/// Bytes of a file of certificates. All that a platform trusts are a quarter of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The answer to a certificate, of a program that has no encryption.
const WITHOUT_TLS: &str = "it is for TLS, and this program was built without it: build it with the \
                           feature `tls` (cargo build --features tls)";

/// What a file of PEM is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PemKind {
    /// One certificate or more.
    Certificate,
    /// A private key that is not encrypted.
    PrivateKey,
}

/// A file of certificates, or of a private key: PEM, read when the settings are. It is shown by its
/// name alone.
#[derive(Clone, PartialEq, Eq)]
pub struct PemFile {
    path: PathBuf,
    content: String,
}

impl fmt::Debug for PemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PemFile").field(&self.path).finish()
    }
}

impl PemFile {
    fn read(path: &OsStr, kind: PemKind) -> Result<Self, String> {
        if !HAS_TLS {
            return Err(WITHOUT_TLS.to_owned());
        }
        let content = read(path, FILE_BYTES_MAX);
        let content = content.map_err(|error| format!("the file can't be read: {error}"))?;
        let (holds, lacks) = match kind {
            PemKind::Certificate => (
                content.contains("-----BEGIN CERTIFICATE-----"),
                "no certificate; PEM has a line -----BEGIN CERTIFICATE-----",
            ),
            PemKind::PrivateKey => (
                ["", "EC ", "RSA "]
                    .iter()
                    .any(|of| content.contains(&format!("-----BEGIN {of}PRIVATE KEY-----"))),
                "no private key, or an encrypted one; PEM has a line -----BEGIN PRIVATE KEY-----",
            ),
        };
        if !holds {
            return Err(format!("the file holds {lacks}"));
        }
        Ok(Self {
            path: PathBuf::from(path),
            content,
        })
    }

    #[cfg(feature = "tls")]
    fn content(&self) -> &str {
        &self.content
    }

    /// Its name, for what reads it by itself.
    pub(crate) fn path(&self) -> String {
        self.path.display().to_string()
    }
}

/// Reads a [`PemFile`]. The name is not repeated: by mistake it may be the key itself.
#[derive(Debug, Clone, Copy)]
pub struct PemFileParser(pub PemKind);

impl TypedValueParser for PemFileParser {
    type Value = PemFile;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<PemFile, clap::Error> {
        PemFile::read(value, self.0).map_err(|reason| refused(command, argument, &reason))
    }
}

/// How the connections to a server are encrypted, if its address asks for that. By default the
/// platform's authorities vouch for it, and it is shown nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The authorities that vouch for the server, in place of the platform's.
    pub authority: Option<PemFile>,
    /// A certificate that the server is shown, and its private key.
    pub identity: Option<(PemFile, PemFile)>,
}

impl TlsSettings {
    /// Of three files, the latter two of which there are both or none.
    #[must_use]
    pub fn new(
        authority: Option<PemFile>,
        certificate: Option<PemFile>,
        key: Option<PemFile>,
    ) -> Self {
        Self {
            authority,
            identity: certificate.zip(key),
        }
    }

    /// `true` if there is a file.
    pub(crate) fn is_set(&self) -> bool {
        self.authority.is_some() || self.identity.is_some()
    }

    /// Refuses files for a server to which nothing is encrypted.
    ///
    /// # Errors
    /// Its address, of which nothing is repeated, does not begin so.
    pub fn check(&self, server: &str, url: Option<&Secret>, start: &str) -> anyhow::Result<()> {
        let encrypts = url.is_none_or(|url| url.reveal().starts_with(start));
        anyhow::ensure!(
            encrypts || !self.is_set(),
            "there are certificates for {server}, and nothing would be encrypted: its address has \
             to begin with {start}"
        );
        Ok(())
    }

    /// RabbitMQ, with them.
    pub fn broker(&self, amqp: Amqp) -> Amqp {
        #[cfg(feature = "tls")]
        let amqp = {
            let amqp = match &self.authority {
                Some(authority) => amqp.ca_certificate_pem(authority.content()),
                None => amqp,
            };
            match &self.identity {
                Some((certificate, key)) => amqp.identity_pem(certificate.content(), key.content()),
                None => amqp,
            }
        };
        amqp
    }

    /// Redis, with them.
    pub fn replies(&self, redis: RedisReplies) -> RedisReplies {
        #[cfg(feature = "tls")]
        let redis = {
            let redis = match &self.authority {
                Some(authority) => redis.ca_certificate_pem(authority.content()),
                None => redis,
            };
            match &self.identity {
                Some((certificate, key)) => {
                    redis.identity_pem(certificate.content(), key.content())
                }
                None => redis,
            }
        };
        redis
    }

    /// A client of Redis, with them.
    pub(crate) fn client(
        &self,
        connection: redis::ConnectionInfo,
    ) -> redis::RedisResult<redis::Client> {
        #[cfg(feature = "tls")]
        if self.is_set() {
            let bytes = |file: &PemFile| file.content().as_bytes().to_vec();
            let identity = self.identity.as_ref();
            let certificates = redis::TlsCertificates {
                root_cert: self.authority.as_ref().map(bytes),
                client_tls: identity.map(|(certificate, key)| redis::ClientTlsConfig {
                    client_cert: bytes(certificate),
                    client_key: bytes(key),
                }),
            };
            return redis::Client::build_with_tls(connection, certificates);
        }
        redis::Client::open(connection)
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;
    use replybus_testkit::{certificates::Authority, servers::Workplace};
    use std::fs;

    #[test]
    fn a_file_is_what_its_setting_says_and_is_shown_by_its_name() {
        let workplace = Workplace::new("pem").unwrap();
        let authority = Authority::new().unwrap();
        let certified = authority.certify("bank").unwrap();
        let files = authority.write(workplace.directory(), &certified).unwrap();
        let read = |path: &PathBuf, kind| PemFile::read(path.as_os_str(), kind);

        let key = read(&files.key, PemKind::PrivateKey).unwrap();
        let shown = format!("{key:?}");
        assert!(
            shown.contains("key.pem") && !shown.contains("BEGIN"),
            "{shown}"
        );
        assert!(read(&files.authority, PemKind::Certificate).is_ok());

        let refused = read(&files.key, PemKind::Certificate).unwrap_err();
        assert!(refused.contains("no certificate"), "{refused}");
        let refused = read(&files.certificate, PemKind::PrivateKey).unwrap_err();
        assert!(refused.contains("no private key"), "{refused}");
        let large = workplace.path("large.pem");
        fs::write(&large, "x".repeat(1024 * 1024 + 1)).unwrap();
        let refused = read(&large, PemKind::Certificate).unwrap_err();
        assert!(refused.contains("more than"), "{refused}");
        let refused = read(&workplace.path("none.pem"), PemKind::Certificate).unwrap_err();
        assert!(refused.contains("can't be read") && !refused.contains("none.pem"));
    }

    #[test]
    fn files_for_an_address_that_is_not_encrypted_are_refused() {
        let workplace = Workplace::new("pem").unwrap();
        let authority = Authority::new().unwrap();
        let certified = authority.certify("bank").unwrap();
        let files = authority.write(workplace.directory(), &certified).unwrap();
        let ca = PemFile::read(files.authority.as_os_str(), PemKind::Certificate).unwrap();
        let tls = TlsSettings::new(Some(ca), None, None);
        let url = |url: &str| Secret::new(url.to_owned());
        let check = |tls: &TlsSettings, url: Option<&Secret>| tls.check("Redis", url, "rediss://");

        let plain = url("redis://:hunter2@host");
        let refused = check(&tls, Some(&plain)).unwrap_err().to_string();
        assert!(refused.contains("rediss://") && !refused.contains("hunter2"));
        check(&tls, Some(&url("rediss://host"))).unwrap();
        check(&tls, None).unwrap();
        check(&TlsSettings::default(), Some(&plain)).unwrap();
    }
}
