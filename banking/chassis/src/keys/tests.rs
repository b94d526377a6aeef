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

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }

    fn keys(&self) -> Keys {
        Keys::load(&self.0).unwrap()
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

fn private_files() -> Vec<String> {
    let of_passes = SIGNERS.map(pass_signing);
    of_passes
        .into_iter()
        .chain([SESSION_SIGNING.into(), OPENING.into()])
        .collect()
}

#[test]
fn what_is_written_is_read_and_private_to_its_owner() {
    let directory = Directory::new();
    let keys = directory.keys();
    assert_eq!(keys.signing.unwrap().id, keys.verifying[0].id);
    assert_eq!(keys.passes.signing.len(), SIGNERS.len());
    for ((signer, signing), (verified, verifying)) in
        keys.passes.signing.iter().zip(&keys.passes.verifying)
    {
        assert_eq!((signer, &signing.id), (verified, &verifying.id));
    }
    let other = Directory::new();
    for private in private_files() {
        let file = fs::metadata(directory.0.join(&private)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{private}");
        assert_ne!(directory.read(&private), other.read(&private));
    }
}

#[test]
fn keys_that_are_there_are_kept() {
    let directory = Directory::new();
    let before = directory.read(SESSION_SIGNING);
    assert!(Keys::write_new(&directory.0).is_err());
    for name in private_files() {
        if name != SESSION_SIGNING {
            directory.remove(&name);
        }
    }
    directory.remove(PASS_VERIFYING);
    assert!(Keys::write_new(&directory.0).is_err());
    assert_eq!(directory.read(SESSION_SIGNING), before);
}

#[test]
fn keys_of_a_version_before_get_those_that_are_missing() {
    let directory = Directory::new();
    let private = pass_signing(ACCOUNT_SERVICE);
    // The account service had none, and public keys are enough to add to.
    let public = directory.read(PASS_VERIFYING);
    let begin = public.find(ACCOUNT_SERVICE).unwrap();
    let end = public.find(TRANSFER_SERVICE).unwrap();
    let before = format!("{}{}", &public[..begin], &public[end..]);
    for name in private_files() {
        directory.remove(&name);
    }
    directory.write(PASS_VERIFYING, before.trim_end());
    assert!(directory.keys().passes.signing.is_empty());

    Keys::write_new(&directory.0).unwrap();
    let keys = directory.keys();
    assert_eq!(keys.passes.verifying.len(), SIGNERS.len());
    assert!(
        directory
            .read(PASS_VERIFYING)
            .starts_with(before.trim_end())
    );
    let [(program, _)] = keys.passes.signing.as_slice() else {
        panic!("one key was missing");
    };
    assert_eq!(*program, ACCOUNT_SERVICE);
    let file = fs::metadata(directory.0.join(private)).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert!(Keys::write_new(&directory.0).is_err(), "nothing is missing");
}

#[test]
fn a_version_before_passwords_were_sealed_gets_their_key() {
    let directory = Directory::new();
    for name in [OPENING, SEALING] {
        directory.remove(name);
    }
    let passwords = directory.keys().passwords;
    assert!(passwords.opening.is_none() && passwords.sealing.is_none());
    let before = directory.read(PASS_VERIFYING);
    Keys::write_new(&directory.0).unwrap();
    assert_eq!(directory.read(PASS_VERIFYING), before);
    let passwords = directory.keys().passwords;
    assert!(
        passwords
            .opening
            .unwrap()
            .opens(&passwords.sealing.unwrap())
    );
    assert!(Keys::write_new(&directory.0).is_err(), "nothing is missing");
}

#[test]
fn the_key_of_passwords_is_replaced_without_losing_any() {
    let (old, new) = (Directory::new(), Directory::new());
    let both = format!("{}\n{}", new.read(OPENING), old.read(OPENING));
    old.write(OPENING, &both);
    let passwords = old.keys().passwords;
    let opening = passwords.opening.unwrap();
    for public in [passwords.sealing, new.keys().passwords.sealing] {
        assert!(opening.opens(&public.unwrap()));
    }
    old.write(OPENING, &new.read(OPENING));
    assert!(old.refused().contains(SEALING), "{}", old.refused());
    old.write(OPENING, "hunter2");
    let refused = old.refused();
    assert!(
        refused.contains(OPENING) && !refused.contains("hunter2"),
        "{refused}"
    );
}

#[test]
fn a_program_without_private_keys_can_still_verify() {
    let directory = Directory::new();
    for private in private_files() {
        directory.remove(&private);
    }
    let keys = directory.keys();
    assert!(keys.signing.is_none() && keys.passes.signing.is_empty());
    assert_eq!(keys.verifying.len(), 1);
    assert_eq!(keys.passes.verifying.len(), SIGNERS.len());
}

#[test]
fn keys_can_be_replaced_one_after_the_other() {
    let (new, old) = (Directory::new(), Directory::new());
    for name in [SESSION_VERIFYING, PASS_VERIFYING] {
        new.write(name, &format!("{}\n{}", new.read(name), old.read(name)));
    }
    let (keys, old) = (new.keys(), old.keys());
    assert_eq!(keys.verifying.len(), 2);
    assert_eq!(keys.verifying[1].id, old.verifying[0].id);
    for program in SIGNERS {
        let of_program = |keys: &Keys| {
            let of_it = keys.passes.verifying.iter();
            let of_it = of_it.filter(|(of, _)| *of == program);
            of_it.map(|(_, key)| key.id.clone()).collect::<Vec<_>>()
        };
        let ids = of_program(&keys);
        assert_eq!((ids.len(), &ids[1..]), (2, &of_program(&old)[..]));
    }
}

#[test]
fn what_is_no_key_is_refused_by_the_name_of_its_file() {
    let (directory, other) = (Directory::new(), Directory::new());
    for (verifying, signing) in [
        (SESSION_VERIFYING, SESSION_SIGNING.to_owned()),
        (PASS_VERIFYING, pass_signing(TRANSFER_SERVICE)),
    ] {
        let (public, private) = (directory.read(verifying), directory.read(&signing));
        directory.write(verifying, &other.read(verifying));
        let reason = directory.refused();
        assert!(reason.contains(verifying) && reason.contains("-signing"));
        for wrong in ["", "\n", "a key", &private, &public[..40]] {
            directory.write(verifying, wrong);
            let reason = directory.refused();
            assert!(reason.contains(verifying), "{wrong}: {reason}");
            assert!(wrong.len() < 10 || !reason.contains(wrong), "it is told");
        }
        directory.write(verifying, &format!("{public}and more"));
        assert!(directory.refused().contains(verifying));
        directory.write(verifying, &public);
        directory.write(&signing, &public);
        assert!(directory.refused().contains(&signing));
        directory.write(&signing, &private);
    }
    directory.keys();
}

#[test]
fn a_public_key_of_passes_is_of_one_program_that_is_named() {
    let directory = Directory::new();
    let public = directory.read(PASS_VERIFYING);
    let session = directory.read(SESSION_VERIFYING);
    for wrong in [
        // Of nobody; of nobody known.
        session.clone(),
        format!("{public}{session}"),
        format!("{public}town\n{session}"),
        // Of two programs, or twice.
        format!("{public}{API_PRODUCER}\n{session}{TRANSFER_SERVICE}\n{session}"),
        format!("{public}{public}"),
    ] {
        directory.write(PASS_VERIFYING, &wrong);
        let reason = directory.refused();
        assert!(reason.contains(PASS_VERIFYING), "{reason}");
    }
    // A session's key has no name.
    directory.write(PASS_VERIFYING, &public);
    directory.write(SESSION_VERIFYING, &format!("{TRANSFER_SERVICE}\n{session}"));
    assert!(directory.refused().contains(SESSION_VERIFYING));
    // A private key that is listed as another program's is refused where it is.
    directory.write(SESSION_VERIFYING, &session);
    let swapped = public
        .replace(TRANSFER_SERVICE, "<>")
        .replace(API_PRODUCER, TRANSFER_SERVICE)
        .replace("<>", API_PRODUCER);
    directory.write(PASS_VERIFYING, &swapped);
    assert!(directory.refused().contains(PASS_VERIFYING));
}
