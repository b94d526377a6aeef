//! What a caller attaches to a call beside its arguments.

use crate::{
    limits::{METADATA_BYTES_MAX, METADATA_ENTRIES_MAX},
    wire::headers,
};
use std::fmt;

/// Text by name, carried as AMQP headers and inherited by the calls a handler makes: identity,
/// tenant, language. Small: at most [`METADATA_ENTRIES_MAX`] entries and [`METADATA_BYTES_MAX`]
/// bytes of names and values together.
///
/// Values are not printed by `Debug`: they can hold tokens.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata(Vec<(String, String)>);

/// An entry of metadata is refused. Says which and why; never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metadata {name:?}: {reason}")]
pub struct InvalidMetadata {
    name: String,
    reason: &'static str,
}

impl Metadata {
    /// No entries.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sets an entry, replacing one of the same name.
    ///
    /// # Errors
    /// The name is empty, longer than 64 bytes, holds more than `a-z`, `0-9`, `-`, `_` and `.`, or
    /// is one the protocol uses itself; the value holds control characters; or there would be too
    /// much of it.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), InvalidMetadata> {
        let (name, value) = (name.into(), value.into());
        let refuse = |reason| {
            let name = name.chars().take(64).collect();
            Err(InvalidMetadata { name, reason })
        };
        if name.is_empty() || name.len() > 64 {
            return refuse("a name has 1 to 64 bytes");
        }
        let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        if !name.bytes().all(allowed) {
            return refuse("a name holds a-z, 0-9, '-', '_' and '.' only");
        }
        if headers::is_reserved(&name) {
            return refuse("the protocol uses this name itself");
        }
        if value.chars().any(char::is_control) {
            return refuse("a value holds no control characters");
        }
        let others = self.0.iter().filter(|(key, _)| *key != name);
        let (entries, bytes) = others.fold((1, name.len() + value.len()), |(n, bytes), entry| {
            (n + 1, bytes + entry.0.len() + entry.1.len())
        });
        if entries > METADATA_ENTRIES_MAX {
            return refuse("one call carries at most 32 entries");
        }
        if bytes > METADATA_BYTES_MAX {
            return refuse("one call carries at most 8 KiB of metadata");
        }
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name, value)),
        }
        Ok(())
    }

    /// The value under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The entries in the order they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a request brought: the headers that could have been set by [`insert`](Self::insert).
    /// Others are left out: a proxy or a broker plugin may add its own.
    pub(crate) fn from_headers(headers: &[(String, String)]) -> Self {
        let mut metadata = Self::new();
        for (name, value) in headers {
            if !headers::is_reserved(name) && metadata.insert(name, value).is_err() {
                tracing::debug!(name, "a header is no metadata and was left out");
            }
        }
        metadata
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_could_not_travel_or_would_be_misread() {
        let mut metadata = Metadata::new();
        for name in [
            "",
            "Token",
            "a b",
            "deadline",
            "x-death",
            "traceparent",
            "dead-letter-reason",
            &"n".repeat(65),
        ] {
            assert!(metadata.insert(name, "v").is_err(), "{name:?}");
        }
        assert!(metadata.insert("token", "a\r\nb").is_err());
        assert!(
            metadata
                .insert("token", "v".repeat(METADATA_BYTES_MAX))
                .is_err()
        );
        assert!(metadata.is_empty());
    }

    #[test]
    fn bounds_the_number_of_entries_and_replaces_by_name() {
        let mut metadata = Metadata::new();
        for n in 0..METADATA_ENTRIES_MAX {
            metadata.insert(format!("n{n}"), "v").unwrap();
        }
        assert!(metadata.insert("one-more", "v").is_err());
        metadata.insert("n0", "w").unwrap();
        assert_eq!(metadata.get("n0"), Some("w"));
        assert_eq!(metadata.iter().count(), METADATA_ENTRIES_MAX);
    }

    #[test]
    fn debug_shows_no_values() {
        let mut metadata = Metadata::new();
        metadata.insert("session", "s3cret").unwrap();
        assert_eq!(format!("{metadata:?}"), r#"{"session"}"#);
    }
}
