//! The key that requests are signed with, by the name of a file.

use super::{file, lacks};
use crate::failure::Failure;
use replybus::signature::SigningKey;

/// The names of the two settings in a profile; in the environment they are in upper case.
const FILE: &str = "signing_key_file";
const NAME: &str = "signing_key_name";

/// The key that a profile names, or else the environment; `None` where neither does.
pub(super) fn read(
    (file, name): (Option<String>, Option<String>),
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<SigningKey>, Failure> {
    let given =
        |named: Option<String>, setting: &str| named.or_else(|| variable(&setting.to_uppercase()));
    let (path, name) = match (given(file, FILE), given(name, NAME)) {
        (None, None) => return Ok(None),
        (Some(path), Some(name)) => (path, name),
        (Some(_), None) => return Err(lacks(FILE, NAME)),
        (None, Some(_)) => return Err(lacks(NAME, FILE)),
    };
    let pem = file::read(&path, FILE)?;
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
