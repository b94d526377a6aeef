//! Keys that sign, and their names.

use crate::{error::SetupError, key_name::is_key_name};
use ed25519_dalek::{Signer as _, pkcs8::DecodePrivateKey as _};
use std::{fmt, sync::Arc};

/// A private key (Ed25519), and the name by which others know its public one. Wiped from memory when
/// the last clone is dropped, and not shown by `Debug`.
#[derive(Clone)]
pub struct SigningKey {
    name: Arc<str>,
    key: Arc<ed25519_dalek::SigningKey>,
}

/// What is no key, or no name of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The name is empty, too long, or has other characters.
    #[error("the name of a key has 1 to 64 letters, digits, '-', '_' and '.'")]
    Name,
    /// The bytes or the PEM are no key.
    #[error(
        "it is no key of Ed25519: 32 bytes, or PEM (PKCS #8 of a private key, SPKI of a public one)"
    )]
    Key,
}

impl From<InvalidKey> for SetupError {
    fn from(invalid: InvalidKey) -> Self {
        Self::setting("key", invalid.to_string())
    }
}

/// Refuses what can't be the name of a key: it travels in a header, before what is behind a space.
pub(super) fn check_name(name: &str) -> Result<(), InvalidKey> {
    is_key_name(name).then_some(()).ok_or(InvalidKey::Name)
}

impl SigningKey {
    /// The key of these 32 secret bytes (RFC 8032, the seed), under a name of 1 to 64 letters, digits,
    /// `-`, `_` and `.`.
    ///
    /// # Errors
    /// The name is none.
    pub fn from_bytes(name: &str, secret: &[u8; 32]) -> Result<Self, InvalidKey> {
        check_name(name)?;
        Ok(Self::of(
            name,
            ed25519_dalek::SigningKey::from_bytes(secret),
        ))
    }

    /// The key in a file, as `openssl genpkey -algorithm ed25519` writes it: PEM, PKCS #8.
    ///
    /// # Errors
    /// The name is none, or the text is no such key. Nothing of it is repeated.
    pub fn from_pem(name: &str, pem: &str) -> Result<Self, InvalidKey> {
        check_name(name)?;
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem);
        Ok(Self::of(name, key.map_err(|_| InvalidKey::Key)?))
    }

    fn of(name: &str, key: ed25519_dalek::SigningKey) -> Self {
        Self {
            name: name.into(),
            key: Arc::new(key),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key of it, for the [`KeyRing`](super::KeyRing) of who is to believe it.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    pub(super) fn sign(&self, content: &[u8]) -> [u8; 64] {
        self.key.sign(content).to_bytes()
    }
}

/// Its name alone.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_by_its_name_and_refused_without_being_repeated() {
        let key = SigningKey::from_bytes("teller-1", &[0xab; 32]).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains("teller-1"), "{shown}");
        assert!(
            !shown.contains("171") && !shown.to_lowercase().contains("abab"),
            "{shown}"
        );
        for name in ["", "a b", "ä", &"x".repeat(65)] {
            let refused = SigningKey::from_bytes(name, &[1; 32]).unwrap_err();
            assert_eq!(refused, InvalidKey::Name, "{name}");
        }
        let refused = SigningKey::from_pem("teller-1", "hunter2").unwrap_err();
        assert!(!refused.to_string().contains("hunter2"));
    }

    #[test]
    fn a_key_is_read_as_openssl_writes_it() {
        // RFC 8410, section 10.3.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";
        let public = SigningKey::from_pem("rfc", pem).unwrap().public_key();
        assert_eq!(public[..4], [0x19, 0xbf, 0x44, 0x09]);
    }
}
