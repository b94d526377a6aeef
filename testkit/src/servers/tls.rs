//! The files of a server that speaks TLS.

use std::path::PathBuf;

/// A server's certificate and key, and the authority by which it knows its clients: files of PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority's certificate.
    pub authority: PathBuf,
    /// The server's own.
    pub certificate: PathBuf,
    /// The private key of that.
    pub key: PathBuf,
}

impl TlsFiles {
    /// The paths of authority, certificate and key, as settings have them.
    pub(super) fn shown(&self) -> [String; 3] {
        [&self.authority, &self.certificate, &self.key].map(|path| path.display().to_string())
    }
}
