//! Names of keys.

/// Bytes of the name of a key.
const BYTES_MAX: usize = 64;

/// `true` of what can be the name of a key: it travels before what is set off from it.
pub(crate) fn is_key_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}
