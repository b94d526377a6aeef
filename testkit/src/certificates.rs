//! Certificates that are made for a test: an authority, and what it vouches for.

use crate::servers::TlsFiles;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use std::{fs, io, path::Path};
use uuid::Uuid;

/// An authority that nobody knows who is not told.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate for a server or a client, and its private key (PKCS#8): PEM.
#[derive(Clone)]
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// There is no randomness to be had.
    pub fn new() -> io::Result<Self> {
        let made = || -> Result<Self, Error> {
            let mut params = CertificateParams::new(Vec::new())?;
            // Two of one name would be told apart by their keys alone.
            let name = format!("authority {}", Uuid::new_v4().simple());
            params.distinguished_name = named(&name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let key = KeyPair::generate()?;
            let pem = params.self_signed(&key)?.pem();
            let issuer = Issuer::new(params, key);
            Ok(Self { issuer, pem })
        };
        made().map_err(io::Error::other)
    }

    /// Its own certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Vouches for a host, by its name or IP address, or for a client of this name.
    ///
    /// # Errors
    /// The name is none, or there is no randomness to be had.
    pub fn certify(&self, name: &str) -> io::Result<Certified> {
        self.certified(name, 2099).map_err(io::Error::other)
    }

    /// As [`certify`](Self::certify), until a day that has passed.
    ///
    /// # Errors
    /// As [`certify`](Self::certify).
    pub fn certify_once(&self, name: &str) -> io::Result<Certified> {
        self.certified(name, 2001).map_err(io::Error::other)
    }

    fn certified(&self, name: &str, until: i32) -> Result<Certified, Error> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        // One that has the name of its authority is taken for its own.
        params.distinguished_name = named(name);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Certified {
            certificate,
            key: key.serialize_pem(),
        })
    }

    /// Writes what a server shows, and its authority (this one) for clients, as `ca.pem`,
    /// `cert.pem` and `key.pem`.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn write(&self, directory: &Path, certified: &Certified) -> io::Result<TlsFiles> {
        let files = TlsFiles {
            authority: directory.join("ca.pem"),
            certificate: directory.join("cert.pem"),
            key: directory.join("key.pem"),
        };
        fs::write(&files.authority, &self.pem)?;
        fs::write(&files.certificate, &certified.certificate)?;
        fs::write(&files.key, &certified.key)?;
        Ok(files)
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

/// Without the key.
impl std::fmt::Debug for Certified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certified")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_pem_and_its_key_is_not_shown() {
        let authority = Authority::new().unwrap();
        let made = authority.certify("localhost").unwrap();
        for pem in [authority.pem(), &made.certificate] {
            assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
        }
        assert!(made.key.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(!format!("{made:?}").contains("PRIVATE KEY"));
    }
}
