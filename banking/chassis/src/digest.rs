//! Digests by a key (HMAC-SHA-256, RFC 2104).

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The digest of some texts: of others, or apart in other places, it is another.
pub(crate) fn keyed_digest(key: &[u8], texts: &[&str]) -> [u8; 32] {
    // Any length of a key will do.
    let Ok(mut digest) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length");
    };
    for text in texts {
        digest.update(&text.len().to_be_bytes());
        digest.update(text.as_bytes());
    }
    digest.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_and_each_text_has_a_digest_of_its_own() {
        let all = [
            keyed_digest(b"key", &["a", "b"]),
            keyed_digest(b"key", &["ab", ""]),
            keyed_digest(b"key", &["ab"]),
            keyed_digest(b"other", &["ab"]),
            keyed_digest(b"", &["ab"]),
        ];
        for (number, digest) in all.iter().enumerate() {
            assert!(!all[number + 1..].contains(digest), "{number}");
        }
        assert_eq!(keyed_digest(b"key", &["ab"]), all[2]);
    }
}
