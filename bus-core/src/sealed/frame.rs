//! The bytes of a sealed value: by whom it can be read, the encapsulated key, and what is sealed.

use crate::key_name::is_key_name;

/// How the rest is to be read.
const VERSION: u8 = 1;
/// Bytes of an encapsulated key, and of the tag behind what is encrypted (RFC 9180, sections 7.1 and
/// 7.3).
const ENCAPSULATED: usize = 32;
const TAG: usize = 16;

/// A sealed value, taken apart.
pub(super) struct Frame<'a> {
    /// The version and the name, which are not encrypted, and can't be altered.
    pub(super) head: &'a [u8],
    /// The name of the key.
    pub(super) key: &'a str,
    pub(super) encapsulated: &'a [u8; ENCAPSULATED],
    pub(super) encrypted: &'a [u8],
}

/// What comes first in what is sealed to the key of this name.
pub(super) fn head(key: &str) -> Vec<u8> {
    // Names of keys are no longer than that.
    let length = u8::try_from(key.len()).unwrap_or(u8::MAX);
    [&[VERSION, length], key.as_bytes()].concat()
}

impl<'a> Frame<'a> {
    /// Takes bytes apart, if they can be a sealed value.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let &[VERSION, length, ref rest @ ..] = bytes else {
            return None;
        };
        let length = usize::from(length);
        let (head, _) = bytes.split_at_checked(2 + length)?;
        let (key, rest) = rest.split_at_checked(length)?;
        let (encapsulated, encrypted) = rest.split_first_chunk()?;
        Some(Self {
            head,
            key: str::from_utf8(key).ok().filter(|key| is_key_name(key))?,
            encapsulated,
            encrypted: (encrypted.len() >= TAG).then_some(encrypted)?,
        })
    }
}
