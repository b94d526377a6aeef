//! The key that passwords are sealed to on their way: the gateway has its public half, and the auth
//! service alone opens them.

use super::{ensure_free, read, write};
use anyhow::{Context as _, ensure};
use replybus::sealed::{OpeningKey, SealingKey};
use std::path::Path;

/// The private key, and those before it; only the auth service has it.
pub(crate) const OPENING: &str = "password-opening.pem";
/// The public key in use.
pub(crate) const SEALING: &str = "password-sealing.pem";

/// The name of a key until it is known.
const UNNAMED: &str = "unnamed";

/// The keys of passwords, as far as a program has them.
#[derive(Clone)]
pub(crate) struct PasswordKeys {
    pub(crate) opening: Option<OpeningKey>,
    pub(crate) sealing: Option<SealingKey>,
}

impl PasswordKeys {
    pub(super) fn draw() -> anyhow::Result<Self> {
        let opening = named(&OpeningKey::generate(UNNAMED)?.to_pem())?;
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
        let opening = OpeningKey::generate(UNNAMED)?;
        write(directory, OPENING, 0o600, &opening.to_pem())?;
        write(directory, SEALING, 0o644, &opening.sealing_key().to_pem())
    }
}

/// A private key, under the name of its public half.
fn named(pem: &str) -> anyhow::Result<OpeningKey> {
    let key = OpeningKey::from_pem(UNNAMED, pem)?;
    Ok(OpeningKey::from_pem(&name_of(&key.sealing_key()), pem)?)
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
        let key = named(block)?;
        newest = Some(match newest {
            Some(newest) => newest.replacing(key),
            None => key,
        });
    }
    newest.context("it holds no key")
}

fn read_sealing(text: &str) -> anyhow::Result<SealingKey> {
    let key = SealingKey::from_pem(UNNAMED, text)?;
    Ok(SealingKey::from_bytes(&name_of(&key), &key.to_bytes())?)
}
