//! The keys that say who somebody is: one pair for sessions, one secret among services.

use anyhow::{Context as _, bail, ensure};
use ed25519_dalek::{
    SigningKey, VerifyingKey,
    pkcs8::{
        DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey,
        spki::der::pem::LineEnding,
    },
};
use jsonwebtoken::{DecodingKey, EncodingKey};
use std::{fmt, fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

/// The private key of sessions; only the auth service has it.
const SIGNING: &str = "session-signing.pem";
/// The public keys of sessions, one after the other: the one in use and those before it.
const VERIFYING: &str = "session-verifying.pem";
/// The secret with which services prove to each other that they are services.
const SERVICES: &str = "services.key";

/// Keys, as far as a program has them.
#[derive(Clone)]
pub struct Keys {
    pub(crate) signing: Option<SigningSide>,
    pub(crate) verifying: Vec<VerifyingSide>,
    pub(crate) services: [u8; 32],
}

#[derive(Clone)]
pub(crate) struct SigningSide {
    pub(crate) id: String,
    pub(crate) key: EncodingKey,
}

#[derive(Clone)]
pub(crate) struct VerifyingSide {
    pub(crate) id: String,
    pub(crate) key: DecodingKey,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// New keys, for a bank in one process.
    ///
    /// # Errors
    /// The pair can't be encoded.
    pub fn draw() -> anyhow::Result<Self> {
        let pair = SigningKey::from_bytes(&rand::random());
        Ok(Self {
            signing: Some(SigningSide::of(&pair)?),
            verifying: vec![VerifyingSide::of(&pair.verifying_key())],
            services: rand::random(),
        })
    }

    /// The keys in a directory. The private one is read if it is there.
    ///
    /// # Errors
    /// A file is missing, can't be read, or holds no key.
    pub fn load(directory: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))
        };
        let signing = if directory.join(SIGNING).exists() {
            let pair = SigningKey::from_pkcs8_pem(&read(SIGNING)?)
                .with_context(|| format!("{SIGNING} holds no Ed25519 private key (PKCS #8)"))?;
            Some(SigningSide::of(&pair)?)
        } else {
            None
        };
        let verifying = read_verifying(&read(VERIFYING)?)?;
        if let Some(signing) = &signing {
            let known = verifying.iter().any(|key| key.id == signing.id);
            ensure!(
                known,
                "{VERIFYING} does not hold the public key of {SIGNING}"
            );
        }
        let services = from_hex(read(SERVICES)?.trim())
            .with_context(|| format!("{SERVICES} does not hold 64 hexadecimal digits"))?;
        Ok(Self {
            signing,
            verifying,
            services,
        })
    }

    /// Writes new keys into a directory, made if it is missing. Private ones are readable by their
    /// owner alone.
    ///
    /// # Errors
    /// One of the files is there already, or can't be written.
    pub fn write_new(directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory)
            .with_context(|| format!("can't make {}", directory.display()))?;
        for name in [SIGNING, VERIFYING, SERVICES] {
            let path = directory.join(name);
            ensure!(
                !path.exists(),
                "{} is there already, and is kept",
                path.display()
            );
        }
        let pair = SigningKey::from_bytes(&rand::random());
        let private = pair
            .to_pkcs8_pem(LineEnding::LF)
            .context("can't encode the key")?;
        let public = pair.verifying_key().to_public_key_pem(LineEnding::LF);
        let public = public.context("can't encode the key")?;
        let services: [u8; 32] = rand::random();
        let write = |name: &str, mode: u32, text: &str| {
            let path = directory.join(name);
            let file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&path);
            file.and_then(|mut file| file.write_all(text.as_bytes()))
                .with_context(|| format!("can't write {}", path.display()))
        };
        write(SIGNING, 0o600, &private)?;
        write(SERVICES, 0o600, &format!("{}\n", to_hex(&services)))?;
        write(VERIFYING, 0o644, &public)
    }
}

impl SigningSide {
    fn of(pair: &SigningKey) -> anyhow::Result<Self> {
        let der = pair.to_pkcs8_der().context("can't encode the key")?;
        Ok(Self {
            id: key_id(&pair.verifying_key()),
            key: EncodingKey::from_ed_der(der.as_bytes()),
        })
    }
}

impl VerifyingSide {
    fn of(key: &VerifyingKey) -> Self {
        Self {
            id: key_id(key),
            key: DecodingKey::from_ed_der(key.as_bytes()),
        }
    }
}

/// Names a key: its first 8 bytes, which are as unlikely to be another's as those of a digest.
fn key_id(key: &VerifyingKey) -> String {
    to_hex(key.as_bytes().split_at(8).0)
}

fn read_verifying(text: &str) -> anyhow::Result<Vec<VerifyingSide>> {
    const END: &str = "-----END PUBLIC KEY-----";
    let mut keys = Vec::new();
    for block in text.split_inclusive(END) {
        if block.trim().is_empty() {
            continue;
        }
        let key = VerifyingKey::from_public_key_pem(block.trim()).with_context(|| {
            format!("{VERIFYING} holds something else than Ed25519 public keys")
        })?;
        keys.push(VerifyingSide::of(&key));
    }
    if keys.is_empty() {
        bail!("{VERIFYING} holds no key");
    }
    Ok(keys)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt as _, path::PathBuf};

    /// A directory with new keys, gone at the end.
    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            let name = format!("keys-{}", uuid::Uuid::new_v4());
            let directory = Self(std::env::temp_dir().join(name));
            Keys::write_new(&directory.0).unwrap();
            directory
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap()
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.join(name), text).unwrap();
        }

        /// Why its keys can't be loaded.
        fn refused(&self) -> String {
            format!("{:#}", Keys::load(&self.0).unwrap_err())
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_written_is_read_and_private_to_its_owner() {
        let directory = Directory::new();
        let keys = Keys::load(&directory.0).unwrap();
        assert_eq!(keys.signing.unwrap().id, keys.verifying[0].id);
        assert_eq!(to_hex(&keys.services), directory.read(SERVICES).trim());
        for private in [SIGNING, SERVICES] {
            let file = fs::metadata(directory.0.join(private)).unwrap();
            assert_eq!(file.permissions().mode() & 0o777, 0o600, "{private}");
        }
        let other = Directory::new();
        assert_ne!(directory.read(SERVICES), other.read(SERVICES));
        assert_ne!(directory.read(SIGNING), other.read(SIGNING));
    }

    #[test]
    fn keys_that_are_there_are_kept() {
        let directory = Directory::new();
        let before = directory.read(SIGNING);
        assert!(Keys::write_new(&directory.0).is_err());
        fs::remove_file(directory.0.join(SERVICES)).unwrap();
        assert!(Keys::write_new(&directory.0).is_err());
        assert_eq!(directory.read(SIGNING), before);
    }

    #[test]
    fn a_program_without_the_private_key_can_still_verify() {
        let directory = Directory::new();
        fs::remove_file(directory.0.join(SIGNING)).unwrap();
        let keys = Keys::load(&directory.0).unwrap();
        assert!(keys.signing.is_none());
        assert_eq!(keys.verifying.len(), 1);
    }

    #[test]
    fn keys_can_be_replaced_one_after_the_other() {
        let (new, old) = (Directory::new(), Directory::new());
        let both = format!("{}\n{}", new.read(VERIFYING), old.read(VERIFYING));
        new.write(VERIFYING, &both);
        let keys = Keys::load(&new.0).unwrap();
        let old = Keys::load(&old.0).unwrap();
        assert_eq!(keys.verifying.len(), 2);
        assert_eq!(keys.verifying[1].id, old.verifying[0].id);
    }

    #[test]
    fn what_is_no_key_is_refused_by_the_name_of_its_file() {
        let directory = Directory::new();
        let other = Directory::new();
        let (public, services) = (directory.read(VERIFYING), directory.read(SERVICES));

        directory.write(VERIFYING, &other.read(VERIFYING));
        let reason = directory.refused();
        assert!(reason.contains(VERIFYING) && reason.contains(SIGNING));
        for wrong in ["", "\n", "a key", &other.read(SIGNING), &public[..40]] {
            directory.write(VERIFYING, wrong);
            assert!(directory.refused().contains(VERIFYING), "{wrong}");
        }
        directory.write(VERIFYING, &format!("{public}and more"));
        assert!(directory.refused().contains(VERIFYING));
        directory.write(VERIFYING, &public);

        let digits = services.trim();
        for wrong in ["", &digits[1..], &format!("{digits}0"), &"+f".repeat(32)] {
            directory.write(SERVICES, wrong);
            let reason = directory.refused();
            assert!(reason.contains(SERVICES), "{wrong}");
            assert!(
                wrong.is_empty() || !reason.contains(wrong),
                "a secret is told"
            );
        }
        directory.write(SERVICES, &services);
        directory.write(SIGNING, &public);
        assert!(directory.refused().contains(SIGNING));
    }
}
