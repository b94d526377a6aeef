//! Settings that may hold a password, and how they are read: as they are given, or out of a file.

use clap::{Arg, Command, builder::TypedValueParser, error::ErrorKind};
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
};

/// Bytes of a file with a secret. What is longer is another file.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// A setting that may hold a password. It is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Reads a [`Secret`], by a function that says why it can't be one. clap itself would repeat the
/// value in the error, and so print a password.
#[derive(Debug, Clone, Copy)]
pub struct SecretParser(pub fn(&str) -> Result<Secret, String>);

/// Reads a [`Secret`] out of the file that is named, as [`SecretParser`] does; a line break at its
/// end is no part of it. Who lists processes sees their flags, but no file.
///
/// The name is not repeated either: it may be the secret itself, by mistake.
#[derive(Debug, Clone, Copy)]
pub struct SecretFileParser(pub fn(&str) -> Result<Secret, String>);

impl TypedValueParser for SecretParser {
    type Value = Secret;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Secret, clap::Error> {
        let read = value.to_str().ok_or_else(|| "it is not UTF-8".to_owned());
        read.and_then(self.0)
            .map_err(|reason| refused(command, argument, &reason))
    }
}

impl TypedValueParser for SecretFileParser {
    type Value = Secret;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Secret, clap::Error> {
        let read =
            read(value, FILE_BYTES_MAX).map_err(|error| format!("the file can't be read: {error}"));
        read.and_then(|text| (self.0)(text.trim_end_matches(['\r', '\n'])))
            .map_err(|reason| refused(command, argument, &reason))
    }
}

pub(super) fn read(path: &OsStr, bytes_max: u64) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(bytes_max + 1);
    let bytes = file.read_to_string(&mut text)?;
    if u64::try_from(bytes).is_ok_and(|bytes| bytes > bytes_max) {
        return Err(io::Error::other(format!(
            "it has more than {bytes_max} bytes"
        )));
    }
    Ok(text)
}

pub(super) fn refused(command: &Command, argument: Option<&Arg>, reason: &str) -> clap::Error {
    let argument = argument.map(ToString::to_string).unwrap_or_default();
    let reason = format!("invalid value for '{argument}': {reason}\n");
    clap::Error::raw(ErrorKind::ValueValidation, reason).with_cmd(command)
}
