//! Fingerprints of methods: by which two programs find out that they have different contracts.

use super::{MethodContract, MethodKind, ServiceContract};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// What a fingerprint of the schema begins with, as text.
const SCHEMA: &str = "schema:";

/// The fingerprint of a method: two that are of one kind and differ are of two contracts.
///
/// As text it is 16 hexadecimal digits, after `schema:` if it is of the schema. Where it is from is
/// part of it, so those of two kinds are never equal, and say nothing of each other.
///
/// ```
/// use replybus::contract::Fingerprint;
///
/// let old: Fingerprint = "schema:5f1d8a3c90b2e764".parse().unwrap();
/// let new: Fingerprint = "schema:0011223344556677".parse().unwrap();
/// assert!(old.differs_from(&new));
///
/// let of_text: Fingerprint = "5f1d8a3c90b2e764".parse().unwrap();
/// assert_ne!(old, of_text);
/// assert!(!old.differs_from(&of_text)); // nobody knows
/// assert_eq!(old.to_string(), "schema:5f1d8a3c90b2e764");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint {
    hash: [u8; 8],
    kind: FingerprintKind,
}

/// What a fingerprint is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FingerprintKind {
    /// The kind of the method, and its arguments and result as they are written in the trait: it
    /// knows the names of types, and not what is in them.
    Signature,
    /// The kind of the method, and the schemas of all that travels in its calls: two that are equal
    /// read what the other writes. Documentation, the order of fields and the names of types make no
    /// difference.
    Schema,
}

/// Text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a fingerprint: 16 hexadecimal digits, after `schema:` if it is of the schema")]
pub struct InvalidFingerprint;

impl Fingerprint {
    /// The fingerprint of what was hashed.
    pub(crate) fn new(kind: FingerprintKind, of: Sha256) -> Self {
        let digest: [u8; 32] = of.finalize().into();
        // It has more than 8 bytes.
        let hash = digest.first_chunk().copied().unwrap_or_default();
        Self { hash, kind }
    }

    /// What it is of.
    #[must_use]
    pub fn kind(&self) -> FingerprintKind {
        self.kind
    }

    /// `true` if they are of two contracts for sure: they differ, and are of one kind.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> bool {
        self.kind == other.kind && self.hash != other.hash
    }
}

impl ServiceContract {
    /// The fingerprint of one of its methods: of the schema, if the feature `schema` is on and all of
    /// its types have one, else of the signature, of which a contract that was written by hand has
    /// none. By it [instances](crate::presence::Instance::methods) of different contracts are told
    /// apart.
    ///
    /// ```
    /// # use replybus::{Never, queue_handler};
    /// # #[queue_handler("greeter.requests")]
    /// # pub trait Greeter {
    /// #     #[query]
    /// #     async fn greet(&self, name: String) -> Result<String, Never>;
    /// # }
    /// let contract = GreeterClient::CONTRACT;
    /// let (_, greet) = contract.method("greet").unwrap();
    /// println!("{}", contract.fingerprint(greet));
    /// # assert_eq!(contract.fingerprint(greet), contract.fingerprint(greet));
    /// ```
    #[must_use]
    pub fn fingerprint(&self, method: &MethodContract) -> Fingerprint {
        #[cfg(feature = "schema")]
        if let Some(fingerprint) = crate::schema::fingerprint(self, method) {
            return fingerprint;
        }
        of_signature(method)
    }
}

impl ServiceContract {
    /// The fingerprint of one of its methods, if there is one to tell others: a contract that was
    /// written by hand says nothing of types.
    pub(crate) fn stated_fingerprint(&self, method: &MethodContract) -> Option<Fingerprint> {
        (!method.signature.is_empty()).then(|| self.fingerprint(method))
    }

    /// Those of all methods, in their order.
    pub(crate) fn stated_fingerprints(&self) -> Box<[Option<Fingerprint>]> {
        let methods = self.methods.iter();
        methods
            .map(|method| self.stated_fingerprint(method))
            .collect()
    }
}

fn of_signature(method: &MethodContract) -> Fingerprint {
    let mut hash = Sha256::new();
    hash.update(match method.kind {
        MethodKind::Query => "query",
        MethodKind::Command => "command",
    });
    hash.update([0]);
    hash.update(method.signature);
    Fingerprint::new(FingerprintKind::Signature, hash)
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            FingerprintKind::Signature => "",
            FingerprintKind::Schema => SCHEMA,
        };
        write!(f, "{name}{:016x}", u64::from_be_bytes(self.hash))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let (kind, digits) = match text.strip_prefix(SCHEMA) {
            Some(digits) => (FingerprintKind::Schema, digits),
            None => (FingerprintKind::Signature, text),
        };
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != 16 || !digits.bytes().all(is_digit) {
            return Err(InvalidFingerprint);
        }
        let hash = u64::from_str_radix(digits, 16).map_err(|_| InvalidFingerprint)?;
        Ok(Self {
            hash: hash.to_be_bytes(),
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_as_it_is_written_and_nothing_else() {
        for text in ["0011223344556677", "schema:00112233445566ff"] {
            let read: Fingerprint = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
        }
        for text in [
            "",
            "schema:",
            "001122334455667",
            "00112233445566778",
            "001122334455667G",
            "001122334455667A",
            "+011223344556677",
            "Schema:0011223344556677",
            "text:0011223344556677",
        ] {
            assert_eq!(
                text.parse::<Fingerprint>(),
                Err(InvalidFingerprint),
                "{text}"
            );
        }
    }

    #[test]
    fn that_of_a_signature_is_what_it_was() {
        let method = MethodContract::new("balance", MethodKind::Query)
            .signature("(account:String)->Result<u64,Overdrawn>");
        // printf 'query\0(account:String)->Result<u64,Overdrawn>' | sha256sum
        assert_eq!(of_signature(&method).to_string(), "b27c3974d16b054b");
        let command = MethodContract {
            kind: MethodKind::Command,
            ..method.clone()
        };
        assert!(of_signature(&command).differs_from(&of_signature(&method)));
    }
}
