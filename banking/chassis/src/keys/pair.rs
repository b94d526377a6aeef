//! One pair of keys (Ed25519), and how it is written down.

use super::algorithm;
use anyhow::Context as _;
use ed25519_dalek::{
    SigningKey, VerifyingKey,
    pkcs8::{
        DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey,
        spki::der::pem::LineEnding,
    },
};
use jsonwebtoken::{DecodingKey, EncodingKey};
use std::fmt;

/// A private key, which signs.
#[derive(Clone)]
pub struct SigningSide {
    /// Names the pair, in the header of what it signed (`kid`).
    pub id: String,
    /// The key, for `jsonwebtoken`.
    pub key: EncodingKey,
}

/// A public key, which tells whether it was signed.
#[derive(Clone)]
pub struct VerifyingSide {
    /// Names the pair, as in [`SigningSide`].
    pub id: String,
    /// The key, for `jsonwebtoken`.
    pub key: DecodingKey,
}

/// A new pair.
pub struct Pair(SigningKey);

impl Pair {
    /// Draws one.
    #[must_use]
    pub fn draw() -> Self {
        Self(SigningKey::from_bytes(&rand::random()))
    }

    /// The half that signs.
    ///
    /// # Errors
    /// It can't be encoded.
    pub fn signing(&self) -> anyhow::Result<SigningSide> {
        SigningSide::of(&self.0)
    }

    /// The half that verifies.
    #[must_use]
    pub fn verifying(&self) -> VerifyingSide {
        VerifyingSide::of(&self.0.verifying_key())
    }

    /// The half that signs, as PEM (PKCS #8).
    ///
    /// # Errors
    /// It can't be encoded.
    pub fn private_pem(&self) -> anyhow::Result<String> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF);
        Ok(pem.context("can't encode the key")?.to_string())
    }

    /// The half that verifies, as PEM (SPKI).
    ///
    /// # Errors
    /// It can't be encoded.
    pub fn public_pem(&self) -> anyhow::Result<String> {
        let pem = self.0.verifying_key().to_public_key_pem(LineEnding::LF);
        pem.context("can't encode the key")
    }
}

impl SigningSide {
    fn of(pair: &SigningKey) -> anyhow::Result<Self> {
        algorithm::install();
        let der = pair.to_pkcs8_der().context("can't encode the key")?;
        Ok(Self {
            id: key_id(&pair.verifying_key()),
            key: EncodingKey::from_ed_der(der.as_bytes()),
        })
    }

    /// Reads PEM (PKCS #8).
    ///
    /// # Errors
    /// It holds no such key.
    pub fn read(pem: &str) -> anyhow::Result<Self> {
        let pair = SigningKey::from_pkcs8_pem(pem);
        Self::of(&pair.context("it holds no Ed25519 private key (PKCS #8)")?)
    }
}

impl VerifyingSide {
    fn of(key: &VerifyingKey) -> Self {
        algorithm::install();
        Self {
            id: key_id(key),
            key: DecodingKey::from_ed_der(key.as_bytes()),
        }
    }

    /// Reads public keys, one after the other, each with the text before it.
    ///
    /// # Errors
    /// It holds none, or something else.
    pub fn read_all(text: &str) -> anyhow::Result<Vec<(&str, Self)>> {
        const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
        const END: &str = "-----END PUBLIC KEY-----";
        let mut keys = Vec::new();
        for block in text.split_inclusive(END).map(str::trim) {
            if block.is_empty() {
                continue;
            }
            let (before, pem) = block.split_at(block.find(BEGIN).unwrap_or_default());
            let key = VerifyingKey::from_public_key_pem(pem)
                .context("it holds something else than Ed25519 public keys")?;
            keys.push((before.trim(), Self::of(&key)));
        }
        anyhow::ensure!(!keys.is_empty(), "it holds no key");
        Ok(keys)
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pair").finish_non_exhaustive()
    }
}

impl fmt::Debug for SigningSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SigningSide");
        shown.field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for VerifyingSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("VerifyingSide");
        shown.field("id", &self.id).finish_non_exhaustive()
    }
}

/// Names a key: its first 8 bytes, which are as unlikely to be another's as those of a digest.
fn key_id(key: &VerifyingKey) -> String {
    let (first, _) = key.as_bytes().split_at(8);
    first.iter().map(|byte| format!("{byte:02x}")).collect()
}
