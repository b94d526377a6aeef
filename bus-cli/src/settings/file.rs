//! A file that a setting names.

use crate::failure::Failure;
use std::{
    fs::File,
    io::{self, Read as _},
};

/// Bytes of the longest. All certificates that a platform trusts are a quarter of it.
const BYTES_MAX: u64 = 1024 * 1024;

/// What is in it. Neither that nor its name is repeated: by mistake the name may be a key itself.
pub(super) fn read(path: &str, setting: &str) -> Result<String, Failure> {
    let refused = |reason: &dyn std::fmt::Display| {
        Failure::Usage(format!("{setting}: the file can't be read: {reason}"))
    };
    let file = File::open(path).map_err(|error| refused(&error))?;
    let mut content = String::new();
    let read = file.take(BYTES_MAX + 1).read_to_string(&mut content);
    match read {
        Ok(bytes) if bytes as u64 > BYTES_MAX => {
            Err(refused(&format!("it has more than {BYTES_MAX} bytes")))
        }
        Ok(_) => Ok(content),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(refused(&"it is no text")),
        Err(error) => Err(refused(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_read_is_refused_by_its_setting() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(read(here, "ca_file").unwrap().contains("replybus-cli"));
        for (path, why) in [
            ("/none/hunter2", "No such file"),
            ("/dev/zero", "more than 1048576 bytes"),
        ] {
            let refused = read(path, "ca_file").unwrap_err();
            let told = refused.text().unwrap();
            assert!(told.contains("ca_file") && told.contains(why), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
