//! Secrets.

use std::{fs::File, io::Read as _};

/// 24 bytes that nobody can guess, in hexadecimal digits.
///
/// # Errors
/// The system has none to give.
pub(crate) fn hex() -> anyhow::Result<String> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
