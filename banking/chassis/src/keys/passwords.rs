//! The key that passwords are sealed to on their way: the gateway has its public half, and the auth
//! service alone opens them.

use super::{ensure_free, read, write};
use anyhow::{Context as _, ensure};
use ed25519_dalek::pkcs8::{Document, SecretDocument, spki::der::pem::LineEnding};
use replybus::sealed::{OpeningKey, SealingKey};
use std::path::Path;

/// The private key, and those before it; only the auth service has it.
pub(crate) const OPENING: &str = "password-opening.pem";
/// The public key in use.
pub(crate) const SEALING: &str = "password-sealing.pem";

/// What is before the 32 bytes of a private and of a public key (X25519) in DER: RFC 8410.
const PRIVATE: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x6e\x04\x22\x04\x20";
const PUBLIC: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21\x00";

/// The keys of passwords, as far as a program has them.
#[derive(Clone)]
pub(crate) struct PasswordKeys {
    pub(crate) opening: Option<OpeningKey>,
    pub(crate) sealing: Option<SealingKey>,
}

impl PasswordKeys {
    pub(super) fn draw() -> anyhow::Result<Self> {
        let opening = named(&rand::random())?;
        Ok(Self {
            sealing: Some(opening.sealing_key()),
            opening: Some(opening),
        })
    }

    /// The keys in a directory. One of an older version has none.
    pub(super) fn load(directory: &Path) -> anyhow::Result<Self> {
        let is_there = |name| directory.join(name).exists();
        let opening = is_there(OPENING).then(|| read_opening(&read(directory, OPENING)?));
        let opening = opening.transpose().context(OPENING)?;
        let sealing = is_there(SEALING).then(|| read_sealing(&read(directory, SEALING)?));
        let sealing = sealing.transpose().context(SEALING)?;
        if let (Some(opening), Some(sealing)) = (&opening, &sealing) {
            ensure!(
                opening.opens(sealing),
                "{OPENING} does not hold the private key of {SEALING}"
            );
        }
        Ok(Self { opening, sealing })
    }

    /// Whether a directory has them.
    pub(super) fn are_in(directory: &Path) -> bool {
        directory.join(SEALING).exists()
    }

    /// Writes a new pair, the public half last.
    pub(super) fn write_new(directory: &Path) -> anyhow::Result<()> {
        for name in [OPENING, SEALING] {
            ensure_free(directory, name)?;
        }
        let secret: [u8; 32] = rand::random();
        let public = named(&secret)?.sealing_key().to_bytes();
        let private = SecretDocument::try_from([&PRIVATE[..], &secret].concat().as_slice());
        let private = private.and_then(|key| key.to_pem("PRIVATE KEY", LineEnding::LF));
        let private = private.context("can't encode the key")?;
        let public = Document::try_from([&PUBLIC[..], &public].concat().as_slice());
        let public = public.and_then(|key| key.to_pem("PUBLIC KEY", LineEnding::LF));
        let public = public.context("can't encode the key")?;
        write(directory, OPENING, 0o600, &private)?;
        write(directory, SEALING, 0o644, &public)
    }
}

/// A private key, under the name of its public half.
fn named(secret: &[u8; 32]) -> anyhow::Result<OpeningKey> {
    let key = OpeningKey::from_bytes("unnamed", secret)?;
    let name = name_of(&key.sealing_key());
    Ok(OpeningKey::from_bytes(&name, secret)?)
}

/// The first 8 bytes of a public key.
fn name_of(key: &SealingKey) -> String {
    let bytes = key.to_bytes();
    let (first, _) = bytes.split_at(8);
    first.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_opening(text: &str) -> anyhow::Result<OpeningKey> {
    const END: &str = "-----END PRIVATE KEY-----";
    let mut newest: Option<OpeningKey> = None;
    for block in text.split_inclusive(END).map(str::trim) {
        if block.is_empty() {
            continue;
        }
        let key = OpeningKey::from_pem("unnamed", block)?;
        let key = OpeningKey::from_pem(&name_of(&key.sealing_key()), block)?;
        newest = Some(match newest {
            Some(newest) => newest.replacing(key),
            None => key,
        });
    }
    newest.context("it holds no key")
}

fn read_sealing(text: &str) -> anyhow::Result<SealingKey> {
    let key = SealingKey::from_pem("unnamed", text)?;
    Ok(SealingKey::from_bytes(&name_of(&key), &key.to_bytes())?)
}
