//! The rules for names on a broker and for idempotency keys, the same on both sides.

use crate::{
    error::SetupError,
    limits::{IDEMPOTENCY_KEY_BYTES_MAX, NAME_BYTES_MAX},
};

/// Refuses names that a broker or a Redis key would misread.
pub(crate) fn check_name(setting: &str, name: &str) -> Result<(), SetupError> {
    let bytes = name.len();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let reason = if bytes == 0 || bytes > NAME_BYTES_MAX {
        format!("{bytes} bytes, 1 to {NAME_BYTES_MAX} are allowed")
    } else if !name.bytes().all(allowed) {
        "letters, digits, '.', '-' and '_' are allowed".to_owned()
    } else if name.starts_with("amq.") {
        "names that begin with \"amq.\" belong to the broker".to_owned()
    } else {
        return Ok(());
    };
    let name: String = name.chars().take(64).collect();
    Err(SetupError::setting(format!("{setting} {name:?}"), reason))
}

/// Refuses idempotency keys that can't be part of a key in the store.
pub(crate) fn check_key(key: &str) -> Result<(), InvalidKey> {
    let bytes = key.len();
    if bytes == 0 || bytes > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(InvalidKey::Length { bytes });
    }
    if key.chars().any(char::is_control) {
        return Err(InvalidKey::ControlCharacter);
    }
    Ok(())
}

/// The reason why an idempotency key is refused, without the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidKey {
    #[error("idempotency key: {bytes} bytes, 1 to {max} are allowed", max = IDEMPOTENCY_KEY_BYTES_MAX)]
    Length { bytes: usize },
    #[error("idempotency key: control characters are not allowed")]
    ControlCharacter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_server_would_misread_are_refused() {
        for name in [
            "a",
            "account.requests",
            "A-1_b.c",
            &"x".repeat(NAME_BYTES_MAX),
        ] {
            assert!(check_name("queue", name).is_ok(), "{name:?}");
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for name in ["", &long, "a b", "a:b", "a{b}", "ä", "amq.topic", "a\n"] {
            let error = check_name("queue", name).unwrap_err().to_string();
            assert!(error.contains("queue"), "{name:?}: {error}");
        }
    }

    #[test]
    fn keys_are_bounded_and_printable() {
        for key in ["k", "order 17/ä", &"x".repeat(IDEMPOTENCY_KEY_BYTES_MAX)] {
            assert_eq!(check_key(key), Ok(()), "{key:?}");
        }
        let bytes = IDEMPOTENCY_KEY_BYTES_MAX + 1;
        assert_eq!(check_key(""), Err(InvalidKey::Length { bytes: 0 }));
        assert_eq!(
            check_key(&"x".repeat(bytes)),
            Err(InvalidKey::Length { bytes })
        );
        assert_eq!(check_key("a\nb"), Err(InvalidKey::ControlCharacter));
    }
}
