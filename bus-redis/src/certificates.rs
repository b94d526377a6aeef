//! TLS to Redis: who vouches for it, and what it is shown of us.

use crate::url::{Target, Topology};
use deadpool_redis::redis;
use redis::{Client, ClientTlsConfig, ConnectionInfo, RedisResult, TlsCertificates};
use replybus::SetupError;
use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

/// The settings, as they are named to the user.
const AUTHORITY: &str = "ca_certificate_pem";
const IDENTITY: &str = "identity_pem";

/// Certificates and a key, as they were given: PEM. Has no `Debug`, for the key's sake.
#[derive(Clone, Default)]
pub(crate) struct Certificates {
    pub(crate) authority: Option<String>,
    /// The certificate and its key.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Certificates {
    /// Refuses what is no certificate or key, and what would encrypt nothing. No reason repeats
    /// anything of the key.
    pub(crate) fn check(&self, target: &Target) -> Result<(), SetupError> {
        if let Some(pem) = &self.authority {
            usable(AUTHORITY, target)?;
            check_authority(pem).map_err(|reason| SetupError::setting(AUTHORITY, reason))?;
        }
        if let Some((certificate, key)) = &self.identity {
            usable(IDENTITY, target)?;
            let checked = check_identity(certificate, key);
            checked.map_err(|reason| SetupError::setting(IDENTITY, reason))?;
        }
        Ok(())
    }

    /// The connection with them, of a target that was checked.
    pub(crate) fn on(&self, connection: ConnectionInfo) -> RedisResult<ConnectionInfo> {
        if self.authority.is_none() && self.identity.is_none() {
            return Ok(connection);
        }
        let identity = self.identity.clone();
        let certificates = TlsCertificates {
            root_cert: self.authority.clone().map(String::into_bytes),
            client_tls: identity.map(|(client_cert, client_key)| ClientTlsConfig {
                client_cert,
                client_key,
            }),
        };
        let client = Client::build_with_tls(connection, certificates)?;
        Ok(client.get_connection_info().clone())
    }
}

fn usable(setting: &'static str, target: &Target) -> Result<(), SetupError> {
    let reason = match target.topology {
        _ if !target.tls => "is given, and the address is not encrypted; write rediss://",
        Topology::Single => return Ok(()),
        // The pools of both leave it out.
        Topology::Cluster | Topology::Sentinel { .. } => {
            "is for one server; with a Cluster or Sentinel the platform's store is asked, or the \
             file that SSL_CERT_FILE names, and no certificate is shown"
        }
    };
    Err(SetupError::setting(setting, reason))
}

fn check_authority(pem: &str) -> Result<(), String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem.as_bytes())? {
        let added = store.add(certificate);
        added.map_err(|error| format!("holds a certificate that can't be read: {error}"))?;
    }
    Ok(())
}

fn check_identity(certificate: &[u8], key: &[u8]) -> Result<(), String> {
    let certificate = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(
        |_| "holds no private key, or an encrypted one; PEM has a line -----BEGIN PRIVATE KEY-----",
    )?;
    CertifiedKey::from_der(certificate, key, &ring::default_provider())
        .map(drop)
        .map_err(|error| format!("the certificate is not the key's: {error}"))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| format!("is not PEM: {error}"))?;
    if read.is_empty() {
        return Err("holds no certificate; PEM has a line -----BEGIN CERTIFICATE-----".to_owned());
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_encrypt_nothing_is_refused_and_said() {
        let authority = Certificates {
            authority: Some("hunter2".to_owned()),
            identity: None,
        };
        let identity = Certificates {
            authority: None,
            identity: Some((b"hunter2".to_vec(), b"hunter2".to_vec())),
        };
        let mut cases = vec![
            (&authority, "redis://h", [AUTHORITY, "rediss://"]),
            (&identity, "redis://h", [IDENTITY, "rediss://"]),
            (&authority, "rediss://h", [AUTHORITY, "BEGIN CERTIFICATE"]),
            (&identity, "rediss://h", [IDENTITY, "BEGIN CERTIFICATE"]),
        ];
        if cfg!(feature = "cluster") {
            cases.push((
                &authority,
                "rediss+cluster://h",
                [AUTHORITY, "SSL_CERT_FILE"],
            ));
        }
        if cfg!(feature = "sentinel") {
            let url = "rediss+sentinel://h?master=m";
            cases.push((&authority, url, [AUTHORITY, "SSL_CERT_FILE"]));
        }
        for (certificates, url, parts) in cases {
            let refused = certificates.check(&Target::parse(url).unwrap());
            let refused = refused.unwrap_err().to_string();
            assert!(parts.iter().all(|part| refused.contains(part)), "{refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
        let nothing = Certificates::default();
        nothing.check(&Target::parse("redis://h").unwrap()).unwrap();
    }
}
