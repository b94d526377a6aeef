//! The keys that say who somebody is: a pair for sessions, and one for each program, by which it asks
//! others for something, answers them or signs events. Who holds a private key can sign; the public ones
//! are for all. And a pair for passwords, which are sealed on their way.

mod algorithm;
mod messages;
mod pair;
mod passwords;

use anyhow::{Context as _, ensure};
use contracts::program::{
    ACCOUNT_SERVICE, API_PRODUCER, AUTH_SERVICE, NOTIFICATION_SERVICE, TRANSFER_SERVICE,
};
pub use pair::{Pair, SigningSide, VerifyingSide};
pub(crate) use passwords::{OPENING, PasswordKeys, SEALING};
use std::{fmt, fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

/// The private key of sessions; only the auth service has it.
const SESSION_SIGNING: &str = "session-signing.pem";
/// The public keys of sessions, one after the other: the one in use and those before it.
const SESSION_VERIFYING: &str = "session-verifying.pem";
/// The public keys of passes, each after a line with the name of its program.
const PASS_VERIFYING: &str = "pass-verifying.pem";

/// The programs that issue passes, or sign requests, replies or events. All others only look at them.
const SIGNERS: [&str; 5] = [
    AUTH_SERVICE,
    ACCOUNT_SERVICE,
    TRANSFER_SERVICE,
    NOTIFICATION_SERVICE,
    API_PRODUCER,
];

/// The private key of a program's passes; only that program has it.
pub(crate) fn pass_signing(program: &str) -> String {
    format!("pass-signing-{program}.pem")
}

/// Keys, as far as a program has them.
#[derive(Clone)]
pub struct Keys {
    pub(crate) signing: Option<SigningSide>,
    pub(crate) verifying: Vec<VerifyingSide>,
    pub(crate) passes: PassKeys,
    pub(crate) passwords: PasswordKeys,
}

/// The keys of passes, each with the program whose it is.
#[derive(Clone)]
pub(crate) struct PassKeys {
    pub(crate) signing: Vec<(&'static str, SigningSide)>,
    pub(crate) verifying: Vec<(&'static str, VerifyingSide)>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// New keys of all programs, for a bank in one process.
    ///
    /// # Errors
    /// A pair can't be encoded.
    pub fn draw() -> anyhow::Result<Self> {
        let sessions = Pair::draw();
        let mut passes = PassKeys {
            signing: Vec::new(),
            verifying: Vec::new(),
        };
        for program in SIGNERS {
            let pair = Pair::draw();
            passes.signing.push((program, pair.signing()?));
            passes.verifying.push((program, pair.verifying()));
        }
        Ok(Self {
            signing: Some(sessions.signing()?),
            verifying: vec![sessions.verifying()],
            passes,
            passwords: PasswordKeys::draw()?,
        })
    }

    /// The keys in a directory. Private ones are read if they are there.
    ///
    /// # Errors
    /// A file is missing, can't be read, or holds something else than its keys.
    pub fn load(directory: &Path) -> anyhow::Result<Self> {
        let public = read(directory, SESSION_VERIFYING)?;
        let verifying = VerifyingSide::read_all(&public).context(SESSION_VERIFYING)?;
        let nameless = verifying.iter().all(|(before, _)| before.is_empty());
        ensure!(nameless, "{SESSION_VERIFYING} holds more than public keys");
        let verifying: Vec<_> = verifying.into_iter().map(|(_, key)| key).collect();
        let signing = read_signing(directory, SESSION_SIGNING)?;
        if let Some(signing) = &signing {
            ensure!(
                verifying.iter().any(|key| key.id == signing.id),
                "{SESSION_VERIFYING} does not hold the public key of {SESSION_SIGNING}"
            );
        }
        Ok(Self {
            signing,
            verifying,
            passes: PassKeys::load(directory)?,
            passwords: PasswordKeys::load(directory)?,
        })
    }

    /// Writes new keys into a directory, made if it is missing. Private ones are readable by their
    /// owner alone. The public keys of passes are the last, so that where they are all are. To keys
    /// of a version before, those are added of programs that had none then.
    ///
    /// # Errors
    /// All of them are there already, or one of the files is that is to be written, or can't be.
    pub fn write_new(directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory)
            .with_context(|| format!("can't make {}", directory.display()))?;
        if directory.join(PASS_VERIFYING).exists() {
            return add_missing(directory);
        }
        let of_passes = SIGNERS.map(pass_signing);
        let others = [SESSION_SIGNING, SESSION_VERIFYING, PASS_VERIFYING];
        for name in of_passes.iter().map(String::as_str).chain(others) {
            ensure_free(directory, name)?;
        }
        PasswordKeys::write_new(directory)?;
        let sessions = Pair::draw();
        write(directory, SESSION_SIGNING, 0o600, &sessions.private_pem()?)?;
        write(directory, SESSION_VERIFYING, 0o644, &sessions.public_pem()?)?;
        let mut verifying = String::new();
        for (program, name) in SIGNERS.iter().zip(&of_passes) {
            let pair = Pair::draw();
            write(directory, name, 0o600, &pair.private_pem()?)?;
            verifying += &format!("{program}\n{}", pair.public_pem()?);
        }
        write(directory, PASS_VERIFYING, 0o644, &verifying)
    }
}

impl PassKeys {
    fn load(directory: &Path) -> anyhow::Result<Self> {
        let public = read(directory, PASS_VERIFYING)?;
        let mut verifying: Vec<(&'static str, VerifyingSide)> = Vec::new();
        for (named, key) in VerifyingSide::read_all(&public).context(PASS_VERIFYING)? {
            let program = SIGNERS.into_iter().find(|program| *program == named);
            let program = program.with_context(|| {
                let programs = SIGNERS.join(", ");
                format!("{PASS_VERIFYING}: before each key is a line with its program: {programs}")
            })?;
            // Which program signed must never be a question.
            ensure!(
                verifying.iter().all(|(_, other)| other.id != key.id),
                "{PASS_VERIFYING} holds a key of {program} twice"
            );
            verifying.push((program, key));
        }
        let mut signing = Vec::new();
        for program in SIGNERS {
            let name = pass_signing(program);
            let Some(key) = read_signing(directory, &name)? else {
                continue;
            };
            let is_known =
                |(of, public): &(&str, VerifyingSide)| *of == program && public.id == key.id;
            ensure!(
                verifying.iter().any(is_known),
                "{PASS_VERIFYING} does not hold the public key of {name}"
            );
            signing.push((program, key));
        }
        Ok(Self { signing, verifying })
    }
}

/// Adds the pair of passwords, and pairs of programs that have no public key yet.
fn add_missing(directory: &Path) -> anyhow::Result<()> {
    let had_passwords = PasswordKeys::are_in(directory);
    if !had_passwords {
        PasswordKeys::write_new(directory)?;
    }
    let mut verifying = read(directory, PASS_VERIFYING)?;
    let known = VerifyingSide::read_all(&verifying).context(PASS_VERIFYING)?;
    let known: Vec<String> = known.iter().map(|(of, _)| (*of).to_owned()).collect();
    let missing = SIGNERS.map(|program| !known.iter().any(|known| known == program));
    let missing = SIGNERS.into_iter().zip(missing);
    let missing: Vec<&str> = missing
        .filter_map(|(program, is_missing)| is_missing.then_some(program))
        .collect();
    if missing.is_empty() {
        return match had_passwords {
            true => ensure_free(directory, PASS_VERIFYING),
            false => Ok(()),
        };
    }
    for program in &missing {
        ensure_free(directory, &pass_signing(program))?;
    }
    if !verifying.ends_with('\n') {
        verifying.push('\n');
    }
    for program in missing {
        let pair = Pair::draw();
        write(
            directory,
            &pass_signing(program),
            0o600,
            &pair.private_pem()?,
        )?;
        verifying += &format!("{program}\n{}", pair.public_pem()?);
    }
    // Whoever reads meanwhile reads all of the old or all of the new.
    let new = format!("{PASS_VERIFYING}.new");
    write(directory, &new, 0o644, &verifying)?;
    fs::rename(directory.join(&new), directory.join(PASS_VERIFYING))
        .with_context(|| format!("can't replace {PASS_VERIFYING}"))
}

fn ensure_free(directory: &Path, name: &str) -> anyhow::Result<()> {
    let path = directory.join(name);
    ensure!(
        !path.exists(),
        "{} is there already, and is kept",
        path.display()
    );
    Ok(())
}

fn read(directory: &Path, name: &str) -> anyhow::Result<String> {
    let path = directory.join(name);
    fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))
}

/// A private key, if it is there.
fn read_signing(directory: &Path, name: &str) -> anyhow::Result<Option<SigningSide>> {
    if !directory.join(name).exists() {
        return Ok(None);
    }
    let key = SigningSide::read(&read(directory, name)?);
    key.map(Some).with_context(|| name.to_owned())
}

fn write(directory: &Path, name: &str, mode: u32, text: &str) -> anyhow::Result<()> {
    let path = directory.join(name);
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests;
