//! The key that requests are signed with, by the name of a file.

use crate::failure::Failure;
use replybus::signature::SigningKey;
use std::{fs::File, io::Read as _};

/// The names of the two settings in a profile; in the environment they are in upper case.
const FILE: &str = "signing_key_file";
const NAME: &str = "signing_key_name";

/// Bytes of the file. A key in PEM has 119.
const BYTES_MAX: u64 = 64 * 1024;

/// The key that a profile names, or else the environment; `None` where neither does.
pub(super) fn read(
    (file, name): (Option<String>, Option<String>),
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<SigningKey>, Failure> {
    let given =
        |named: Option<String>, setting: &str| named.or_else(|| variable(&setting.to_uppercase()));
    let usage = |setting: &str, reason: &dyn std::fmt::Display| {
        Failure::Usage(format!("{setting}: {reason}"))
    };
    let (file, name) = match (given(file, FILE), given(name, NAME)) {
        (None, None) => return Ok(None),
        (Some(file), Some(name)) => (file, name),
        (Some(_), None) => return Err(usage(FILE, &format!("is given without {NAME}"))),
        (None, Some(_)) => return Err(usage(NAME, &format!("is given without {FILE}"))),
    };
    // The name of the file is not repeated: by mistake it may be the key itself.
    let mut pem = String::new();
    let read = File::open(file).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut pem));
    read.map_err(|error| usage(FILE, &format!("the file can't be read: {error}")))?;
    let key = SigningKey::from_pem(&name, &pem);
    key.map(Some)
        .map_err(|invalid| Failure::Usage(format!("{FILE}, {NAME}: {invalid}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_no_key_is_named_and_nothing_of_it_repeated() {
        let nothing = |_: &str| None;
        assert!(read((None, None), nothing).unwrap().is_none());
        let of = |file: Option<&str>, name: Option<&str>| {
            let given = (file.map(str::to_owned), name.map(str::to_owned));
            let refused = read(given, nothing).unwrap_err();
            let told = refused.text().unwrap().to_owned();
            assert!(!told.contains("hunter2"), "{told}");
            told
        };
        assert!(of(Some("hunter2"), None).contains("without signing_key_name"));
        assert!(of(None, Some("teller")).contains("without signing_key_file"));
        assert!(of(Some("/none/hunter2"), Some("teller")).contains("can't be read"));
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(of(Some(here), Some("teller")).contains("no key of Ed25519"));
        let variable = |name: &str| (name == "SIGNING_KEY_NAME").then(|| "teller".to_owned());
        assert!(read((None, None), variable).is_err());
    }
}
