//! Keys that are believed, and what each of them may ask for.

use super::key::{InvalidKey, check_name};
use ed25519_dalek::{Signature, VerifyingKey, pkcs8::DecodePublicKey as _};
use std::collections::HashMap;

/// Public keys by their names, and what each may ask for. A key that is to be replaced stays for as
/// long as there are messages that it signed.
///
/// ```
/// use replybus::signature::{KeyRing, SigningKey};
///
/// # let (teller, auditor) = ([1; 32], [2; 32]);
/// let teller = SigningKey::from_bytes("teller-1", &teller)?.public_key();
/// let auditor = SigningKey::from_bytes("auditor-1", &auditor)?.public_key();
/// let ring = KeyRing::new()
///     .trust("teller-1", &teller)?
///     // Who only reads may not move money.
///     .trust_for("auditor-1", &auditor, ["account.requests/balance", "report.requests"])?;
/// # assert_eq!(ring.len(), 2);
/// # Ok::<(), replybus::signature::InvalidKey>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct KeyRing(HashMap<Box<str>, Trusted>);

#[derive(Debug, Clone)]
struct Trusted {
    key: VerifyingKey,
    /// Queues, without the namespace, and methods of queues; all if there is none.
    may: Option<Box<[Box<str>]>>,
}

impl KeyRing {
    /// A ring without keys, which believes nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key that may ask for everything. One of the same name is replaced.
    ///
    /// # Errors
    /// The name or the bytes are none.
    pub fn trust(self, name: &str, public: &[u8; 32]) -> Result<Self, InvalidKey> {
        self.with(name, public, None)
    }

    /// Adds a key that may ask for what these name: a queue without its namespace, such as
    /// `account.requests`, or one method of it, such as `account.requests/balance`. Of the replies of a
    /// service it is its queue.
    ///
    /// # Errors
    /// The name or the bytes are none.
    pub fn trust_for<M: Into<String>>(
        self,
        name: &str,
        public: &[u8; 32],
        may: impl IntoIterator<Item = M>,
    ) -> Result<Self, InvalidKey> {
        let may = may.into_iter().map(|may| may.into().into_boxed_str());
        self.with(name, public, Some(may.collect()))
    }

    /// Adds a key out of a file, as `openssl pkey -pubout` writes it: PEM, SPKI.
    ///
    /// # Errors
    /// The name or the text is none.
    pub fn trust_pem(self, name: &str, pem: &str) -> Result<Self, InvalidKey> {
        let key = VerifyingKey::from_public_key_pem(pem).map_err(|_| InvalidKey::Key)?;
        self.trust(name, key.as_bytes())
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// `true` without keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn with(
        mut self,
        name: &str,
        public: &[u8; 32],
        may: Option<Box<[Box<str>]>>,
    ) -> Result<Self, InvalidKey> {
        check_name(name)?;
        let key = VerifyingKey::from_bytes(public).map_err(|_| InvalidKey::Key)?;
        // Whoever knows it could sign in its name without its secret.
        if key.is_weak() {
            return Err(InvalidKey::Key);
        }
        self.0.insert(name.into(), Trusted { key, may });
        Ok(self)
    }

    /// Looks whether a key of this name signed this, and may ask for it.
    pub(super) fn check(
        &self,
        name: &str,
        content: &[u8],
        signature: &[u8; 64],
        (queue, method): (&str, &str),
    ) -> Result<(), Refusal> {
        let trusted = self.0.get(name).ok_or(Refusal::UnknownKey)?;
        let signature = Signature::from_bytes(signature);
        let verified = trusted.key.verify_strict(content, &signature);
        verified.map_err(|_| Refusal::Altered)?;
        let names = |may: &str| match may.split_once('/') {
            Some((of, one)) => of == queue && one == method,
            None => may == queue,
        };
        match &trusted.may {
            Some(may) if !may.iter().any(|may| names(may)) => Err(Refusal::NotAllowed),
            _ => Ok(()),
        }
    }
}

/// Why a message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it is not signed")]
    Unsigned,
    #[error("its signature can't be read")]
    Unreadable,
    #[error("it is signed by a key that is not known here")]
    UnknownKey,
    #[error("it is not what was signed")]
    Altered,
    #[error("the key that signed it may not ask for this")]
    NotAllowed,
    #[error("it is not due yet")]
    TooEarly,
    #[error("it answers another request")]
    OtherRequest,
}
