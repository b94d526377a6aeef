//! Keys to seal with and to open with, and their names.

use super::pem;
use crate::{error::SetupError, key_name::is_key_name};
use hpke::{Deserializable as _, Kem, Serializable as _, kem::X25519HkdfSha256};
use std::{fmt, iter::successors, sync::Arc};
use zeroize::Zeroizing;

pub(super) type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
pub(super) type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;

/// The public key (X25519) of who is to read what is sealed, and its name.
#[derive(Clone)]
pub struct SealingKey {
    name: Arc<str>,
    key: PublicKey,
}

/// The private key (X25519) that opens what was sealed to its public one, those before it, and its
/// name. Wiped from memory when the last clone is dropped, and not shown by `Debug`.
#[derive(Clone)]
pub struct OpeningKey {
    keys: Arc<Keys>,
}

struct Keys {
    name: Box<str>,
    key: PrivateKey,
    /// Of a key that replaces others.
    earlier: Option<OpeningKey>,
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
        "it is no key of X25519: 32 bytes, or PEM (PKCS #8 of a private key, SPKI of a public one)"
    )]
    Key,
}

impl From<InvalidKey> for SetupError {
    fn from(invalid: InvalidKey) -> Self {
        Self::setting("key", invalid.to_string())
    }
}

impl SealingKey {
    /// The key of these 32 public bytes (RFC 7748), under the name that its private one has: 1 to 64
    /// letters, digits, `-`, `_` and `.`.
    ///
    /// # Errors
    /// The name or the bytes are none.
    pub fn from_bytes(name: &str, public: &[u8; 32]) -> Result<Self, InvalidKey> {
        check_name(name)?;
        let key = PublicKey::from_bytes(public).map_err(|_| InvalidKey::Key)?;
        Ok(Self {
            name: name.into(),
            key,
        })
    }

    /// The key in a file, as `openssl pkey -pubout` writes it: PEM, SPKI.
    ///
    /// # Errors
    /// The name or the text is none.
    pub fn from_pem(name: &str, pem: &str) -> Result<Self, InvalidKey> {
        let key = pem::read_public(pem).ok_or(InvalidKey::Key)?;
        Self::from_bytes(name, &key)
    }

    /// As it is written into a file: PEM, SPKI.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::public(&self.to_bytes())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.key.to_bytes().into()
    }

    pub(super) fn key(&self) -> &PublicKey {
        &self.key
    }
}

impl OpeningKey {
    /// The key of these 32 secret bytes (RFC 7748), under a name of 1 to 64 letters, digits, `-`, `_`
    /// and `.`.
    ///
    /// # Errors
    /// The name is none.
    pub fn from_bytes(name: &str, secret: &[u8; 32]) -> Result<Self, InvalidKey> {
        let key = PrivateKey::from_bytes(secret).map_err(|_| InvalidKey::Key)?;
        Self::of(name, key)
    }

    fn of(name: &str, key: PrivateKey) -> Result<Self, InvalidKey> {
        check_name(name)?;
        let name = name.into();
        let earlier = None;
        Ok(Self {
            keys: Arc::new(Keys { name, key, earlier }),
        })
    }

    /// A new key.
    ///
    /// ```
    /// use replybus::sealed::{OpeningKey, SealingKey};
    ///
    /// let key = OpeningKey::generate("logins-1")?;
    /// let (private, public) = (key.to_pem(), key.sealing_key().to_pem());
    /// // .. of which the one is for the service alone, and the other for all who call it.
    /// let (opening, sealing) = (
    ///     OpeningKey::from_pem("logins-1", &private)?,
    ///     SealingKey::from_pem("logins-1", &public)?,
    /// );
    /// assert!(opening.opens(&sealing));
    /// # Ok::<(), replybus::sealed::InvalidKey>(())
    /// ```
    ///
    /// # Errors
    /// The name is none.
    ///
    /// # Panics
    /// The system has no randomness to give.
    pub fn generate(name: &str) -> Result<Self, InvalidKey> {
        let (key, _) = X25519HkdfSha256::gen_keypair();
        Self::of(name, key)
    }

    /// The key in a file, as `openssl genpkey -algorithm x25519` writes it: PEM, PKCS #8.
    ///
    /// # Errors
    /// The name is none, or the text is no such key. Nothing of it is repeated.
    pub fn from_pem(name: &str, pem: &str) -> Result<Self, InvalidKey> {
        let key = pem::read_private(pem).ok_or(InvalidKey::Key)?;
        Self::from_bytes(name, &key)
    }

    /// As it is written into a file, which only who opens may read: PEM, PKCS #8. Of a key that replaces
    /// others it is the newest.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let secret = Zeroizing::new(<[u8; 32]>::from(self.keys.key.to_bytes()));
        pem::private(&secret)
    }

    /// Opens also what was sealed to an earlier key, for as long as there is something of it.
    ///
    /// ```
    /// use replybus::sealed::{OpeningKey, Sealed};
    ///
    /// # let (first, second) = ([1; 32], [2; 32]);
    /// let first = OpeningKey::from_bytes("logins-1", &first)?;
    /// let sealed = Sealed::new(&4711, &first.sealing_key(), "pin")?;
    /// let both = OpeningKey::from_bytes("logins-2", &second)?.replacing(first);
    /// assert_eq!(both.sealing_key().name(), "logins-2");
    /// assert_eq!(sealed.open(&both, "pin")?, 4711);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn replacing(self, earlier: Self) -> Self {
        let earlier = match &self.keys.earlier {
            Some(before) => before.clone().replacing(earlier),
            None => earlier,
        };
        let Keys { name, key, .. } = &*self.keys;
        Self {
            keys: Arc::new(Keys {
                name: name.clone(),
                key: key.clone(),
                earlier: Some(earlier),
            }),
        }
    }

    /// The public key of it, for who seals. Of one that replaces others it is the newest.
    #[must_use]
    pub fn sealing_key(&self) -> SealingKey {
        SealingKey {
            name: (*self.keys.name).into(),
            key: X25519HkdfSha256::sk_to_pk(&self.keys.key),
        }
    }

    /// `true` if what is sealed to that key can be opened by this one, or one that it replaces.
    #[must_use]
    pub fn opens(&self, key: &SealingKey) -> bool {
        let mut own = self.named(key.name()).map(X25519HkdfSha256::sk_to_pk);
        own.any(|own| own.to_bytes() == key.key.to_bytes())
    }

    /// The keys of that name, the newest first.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &PrivateKey> {
        let all = successors(Some(&*self.keys), |keys| {
            Some(&*keys.earlier.as_ref()?.keys)
        });
        let named = all.filter(move |keys| *keys.name == *name);
        named.map(|keys| &keys.key)
    }
}

fn check_name(name: &str) -> Result<(), InvalidKey> {
    is_key_name(name).then_some(()).ok_or(InvalidKey::Name)
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SealingKey").field(&self.name).finish()
    }
}

/// The names alone.
impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_tuple("OpeningKey");
        shown.field(&self.keys.name);
        if let Some(earlier) = &self.keys.earlier {
            shown.field(earlier);
        }
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl genpkey -algorithm x25519` and `openssl pkey -pubout` wrote them.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VuBCIEIDB9NuwlRooeiqFNM5a10DzrvZ8Dd/cKwbSY47JI10Jo\n\
        -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VuAyEAOH6t+pX7+WFqwLj4pGO/QVC39rHXP0+0tq9mPQ1Y+lY=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn keys_are_read_as_openssl_writes_them() {
        let opening = OpeningKey::from_pem("a", PRIVATE).unwrap();
        let sealing = SealingKey::from_pem("a", PUBLIC).unwrap();
        assert!(opening.opens(&sealing));
        assert_eq!((&*opening.to_pem(), &*sealing.to_pem()), (PRIVATE, PUBLIC));
        // Of Ed25519: RFC 8410, sections 10.1 and 10.3.
        let signs = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
            -----END PRIVATE KEY-----\n";
        let believes = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
            -----END PUBLIC KEY-----\n";
        for pem in [signs, believes, PUBLIC, "hunter2", ""] {
            let refused = OpeningKey::from_pem("a", pem).unwrap_err();
            assert_eq!(refused, InvalidKey::Key, "{pem}");
        }
        for pem in [signs, believes, PRIVATE, "hunter2", ""] {
            let refused = SealingKey::from_pem("a", pem).unwrap_err();
            assert_eq!(refused, InvalidKey::Key, "{pem}");
        }
    }

    #[test]
    fn a_key_is_shown_by_its_names_and_refused_without_being_repeated() {
        let key = OpeningKey::from_bytes("new", &[0xab; 32]).unwrap();
        let key = key.replacing(OpeningKey::from_bytes("old", &[0xab; 32]).unwrap());
        assert_eq!(
            format!("{key:?}"),
            r#"OpeningKey("new", OpeningKey("old"))"#
        );
        assert_eq!(format!("{:?}", key.sealing_key()), r#"SealingKey("new")"#);
        for name in ["", "a b", "ä", &"x".repeat(65)] {
            let refused = OpeningKey::from_bytes(name, &[1; 32]).unwrap_err();
            assert_eq!(refused, InvalidKey::Name, "{name}");
            let refused = SealingKey::from_bytes(name, &[9; 32]).unwrap_err();
            assert_eq!(refused, InvalidKey::Name, "{name}");
        }
    }

    #[test]
    fn the_keys_that_one_replaces_are_all_kept() {
        let key = |name: &str| OpeningKey::from_bytes(name, &[1; 32]).unwrap();
        let all = key("c").replacing(key("b").replacing(key("a0")));
        let all = all.replacing(key("a"));
        for name in ["a", "a0", "b", "c"] {
            assert!(all.opens(&key(name).sealing_key()), "{name}");
        }
        assert!(!all.opens(&key("d").sealing_key()));
        let other = OpeningKey::from_bytes("a", &[2; 32]).unwrap();
        assert!(!all.opens(&other.sealing_key()));
        assert!(
            all.replacing(other.clone()).opens(&other.sealing_key()),
            "of one name, too"
        );
    }
}
