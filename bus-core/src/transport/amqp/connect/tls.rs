//! TLS to the broker: who vouches for it, what it is shown of us, and what a failure of either means.

use super::url::Address;
use crate::error::SetupError;
use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls::{
    AlertDescription, CertificateError, RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
};
use std::{error::Error, io, iter};

/// The settings, as they are named to the user.
const AUTHORITY: &str = "ca_certificate_pem";
const IDENTITY: &str = "identity_pem";

/// Certificates and a key, as they were given: PEM. Has no `Debug`, for the key's sake.
#[derive(Clone, Default)]
pub(in super::super) struct Tls {
    pub(in super::super) authority: Option<String>,
    /// The certificate and its key.
    pub(in super::super) identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// What connects to these addresses; `None` if none of them is encrypted.
    ///
    /// # Errors
    /// A certificate or key is none, they don't belong together, or nothing would be encrypted with
    /// them.
    pub(in super::super) fn connector(
        &self,
        addresses: &[Address],
    ) -> Result<Option<RustlsConnector>, SetupError> {
        let given = match (&self.authority, &self.identity) {
            (Some(_), _) => Some(AUTHORITY),
            (None, Some(_)) => Some(IDENTITY),
            (None, None) => None,
        };
        let plain = addresses.iter().find(|address| !address.is_encrypted());
        if let (Some(setting), Some(address)) = (given, plain) {
            let reason = format!("is given, and {address} is not encrypted; write amqps://");
            return Err(SetupError::setting(setting, reason));
        }
        if !addresses.iter().any(Address::is_encrypted) {
            return Ok(None);
        }
        let trusted = match &self.authority {
            Some(pem) => {
                let certificates = authorities(pem.as_bytes());
                let certificates =
                    certificates.map_err(|reason| SetupError::setting(AUTHORITY, reason))?;
                RustlsConnectorConfig::default().with_parsable_certificates(certificates)
            }
            None => RustlsConnectorConfig::new_with_native_certs().map_err(|error| {
                let reason = format!("the platform's store has no certificates: {error}");
                SetupError::setting("TLS", reason)
            })?,
        };
        let connector = match &self.identity {
            Some((certificate, key)) => {
                let refused = |reason| SetupError::setting(IDENTITY, reason);
                let certificate = certificates(certificate).map_err(refused)?;
                let key = private_key(key).map_err(refused)?;
                let connector = trusted.connector_with_single_cert(certificate, key);
                connector.map_err(|error| {
                    refused(format!("the certificate is not the key's: {error}"))
                })?
            }
            None => trusted
                .connector_with_no_client_auth()
                .map_err(|error| SetupError::setting("TLS", error.to_string()))?,
        };
        Ok(Some(connector))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| format!("is not PEM: {error}"))?;
    if read.is_empty() {
        return Err("holds no certificate; PEM has a line -----BEGIN CERTIFICATE-----".to_owned());
    }
    Ok(read)
}

/// Each of them, for the connector would leave out what it can't read.
fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = certificates(pem)?;
    let mut store = RootCertStore::empty();
    for certificate in &read {
        let added = store.add(certificate.clone());
        added.map_err(|error| format!("holds a certificate that can't be read: {error}"))?;
    }
    Ok(read)
}

/// No reason repeats anything of the key.
fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => "holds no private key, or an encrypted one; PEM has a line \
                                     -----BEGIN PRIVATE KEY-----"
            .to_owned(),
        _ => "the private key is not PEM".to_owned(),
    })
}

/// The reason of a connection that failed for a certificate, the broker's or ours. It would fail so
/// again.
pub(super) fn refusal(error: &io::Error) -> Option<String> {
    let error: &(dyn Error + 'static) = error;
    let causes = iter::successors(Some(error), |&error| {
        // What an `io::Error` is made of is not its source.
        let made_of = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        made_of.map(|error| error as _).or_else(|| error.source())
    });
    let error = causes.filter_map(|error| error.downcast_ref()).next()?;
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Some(format!(
            "{error}: none of the authorities that are trusted vouches for it"
        )),
        rustls::Error::InvalidCertificate(_) => Some(error.to_string()),
        rustls::Error::AlertReceived(alert) if is_of_certificate(*alert) => Some(format!(
            "{error}: the broker asks for a certificate of ours that it trusts ({IDENTITY})"
        )),
        _ => None,
    }
}

/// `true` for what a broker says to a client whose certificate it misses or does not believe.
fn is_of_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::HandshakeFailure
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(tls: &Tls, url: &str) -> String {
        let addresses = [Address::parse(url).unwrap()];
        tls.connector(&addresses).err().unwrap().to_string()
    }

    #[test]
    fn what_can_encrypt_nothing_is_refused_and_said() {
        let authority = Tls {
            authority: Some("hunter2".to_owned()),
            identity: None,
        };
        let identity = Tls {
            authority: None,
            identity: Some((b"hunter2".to_vec(), b"hunter2".to_vec())),
        };
        for (tls, url, parts) in [
            (&authority, "amqp://a:b@h/%2f", [AUTHORITY, "amqps://"]),
            (&identity, "amqp://a:b@h/%2f", [IDENTITY, "amqps://"]),
            (
                &authority,
                "amqps://a:b@h/%2f",
                [AUTHORITY, "BEGIN CERTIFICATE"],
            ),
        ] {
            let refused = refused(tls, url);
            assert!(parts.iter().all(|part| refused.contains(part)), "{refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
        assert!(Tls::default().connector(&[]).unwrap().is_none());
    }

    #[test]
    fn a_certificate_that_is_refused_is_told_from_a_lost_connection() {
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let unknown = io::Error::new(io::ErrorKind::InvalidData, unknown);
        assert!(
            refusal(&unknown)
                .unwrap()
                .contains("none of the authorities")
        );
        let missed = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        let missed = io::Error::other(io::Error::other(missed));
        assert!(refusal(&missed).unwrap().contains(IDENTITY));
        for other in [
            io::Error::from(io::ErrorKind::ConnectionReset),
            io::Error::other(rustls::Error::AlertReceived(AlertDescription::CloseNotify)),
        ] {
            assert_eq!(refusal(&other), None, "{other}");
        }
    }
}
