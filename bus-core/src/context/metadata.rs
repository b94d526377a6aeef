//! Entries that a caller attaches to a call beside its arguments.

use crate::{
    limits::{METADATA_BYTES_MAX, METADATA_ENTRIES_MAX, METADATA_NAME_BYTES_MAX},
    message::Text,
    wire::headers,
};
use std::{fmt, slice, vec};

/// Text by name, carried as AMQP headers and inherited by the calls a handler makes: identity,
/// tenant, language. Small: at most [`METADATA_ENTRIES_MAX`] entries and [`METADATA_BYTES_MAX`]
/// bytes of names and values together.
///
/// Values are not printed by `Debug`: they can hold tokens. There is no `FromIterator`, because an
/// entry can be refused; see [`try_from_iter`](Self::try_from_iter).
///
/// ```
/// use replybus::Metadata;
///
/// let mut metadata = Metadata::try_from([("tenant", "acme"), ("language", "en")])?;
/// metadata.insert("session", "s3cret")?;
/// assert_eq!(metadata.get("tenant"), Some("acme"));
/// assert_eq!(format!("{metadata:?}"), r#"{"tenant", "language", "session"}"#);
///
/// for (name, value) in &metadata {
///     println!("{name} has {} bytes", value.len());
/// }
/// # Ok::<(), replybus::context::InvalidMetadata>(())
/// ```
#[derive(Clone, Default)]
pub struct Metadata(Vec<(String, String)>);

/// An entry of metadata is refused. Says which and why; never its value.
///
/// ```
/// use replybus::Metadata;
///
/// let refused = Metadata::new().insert("Token", "s3cret").unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     r#"metadata "Token": a name holds a-z, 0-9, '-', '_' and '.' only"#,
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metadata {name:?}: {reason}")]
pub struct InvalidMetadata {
    name: String,
    reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("a name has 1 to {METADATA_NAME_BYTES_MAX} bytes")]
    NameLength,
    #[error("a name holds a-z, 0-9, '-', '_' and '.' only")]
    NameCharacter,
    #[error("the protocol uses this name itself")]
    Reserved,
    #[error("a value holds no control characters")]
    ValueCharacter,
    #[error("one call carries at most {METADATA_ENTRIES_MAX} entries")]
    Entries,
    #[error("one call carries at most {METADATA_BYTES_MAX} bytes of metadata")]
    Bytes,
}

impl Metadata {
    /// No entries.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The entries of an iterator, of which a later one replaces an earlier one of the same name.
    ///
    /// ```
    /// use replybus::Metadata;
    ///
    /// let headers = [("x-trace", "7"), ("tenant", "acme")];
    /// let ours = headers.into_iter().filter(|(name, _)| *name == "tenant");
    /// assert_eq!(Metadata::try_from_iter(ours)?.len(), 1);
    /// assert!(Metadata::try_from_iter(headers).is_err()); // "x-" is the broker's
    /// # Ok::<(), replybus::context::InvalidMetadata>(())
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert), of the first entry that is refused.
    pub fn try_from_iter<N, V>(
        entries: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, InvalidMetadata>
    where
        N: Into<String>,
        V: Into<String>,
    {
        let mut metadata = Self::new();
        for (name, value) in entries {
            metadata.insert(name, value)?;
        }
        Ok(metadata)
    }

    /// Sets an entry, replacing one of the same name.
    ///
    /// # Errors
    /// The name is empty, longer than [`METADATA_NAME_BYTES_MAX`], holds more than `a-z`, `0-9`,
    /// `-`, `_` and `.`, or is one the protocol uses itself; the value holds control characters; or
    /// there would be too much of it.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), InvalidMetadata> {
        let (name, value) = (name.into(), value.into());
        if let Err(reason) = self.check(&name, &value) {
            let name = name.chars().take(METADATA_NAME_BYTES_MAX).collect();
            return Err(InvalidMetadata { name, reason });
        }
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name, value)),
        }
        Ok(())
    }

    fn check(&self, name: &str, value: &str) -> Result<(), Reason> {
        if name.is_empty() || name.len() > METADATA_NAME_BYTES_MAX {
            return Err(Reason::NameLength);
        }
        let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        if !name.bytes().all(allowed) {
            return Err(Reason::NameCharacter);
        }
        if headers::is_reserved(name) {
            return Err(Reason::Reserved);
        }
        if value.chars().any(char::is_control) {
            return Err(Reason::ValueCharacter);
        }
        let others = self.iter().filter(|(key, _)| *key != name);
        let (entries, bytes) = others.fold((1, name.len() + value.len()), |(n, bytes), entry| {
            (n + 1, bytes + entry.0.len() + entry.1.len())
        });
        if entries > METADATA_ENTRIES_MAX {
            return Err(Reason::Entries);
        }
        if bytes > METADATA_BYTES_MAX {
            return Err(Reason::Bytes);
        }
        Ok(())
    }

    /// Takes an entry out, and returns its value.
    ///
    /// ```
    /// use replybus::Metadata;
    ///
    /// let mut metadata = Metadata::try_from([("session", "s3cret")])?;
    /// assert_eq!(metadata.remove("session").as_deref(), Some("s3cret"));
    /// assert!(metadata.is_empty());
    /// # Ok::<(), replybus::context::InvalidMetadata>(())
    /// ```
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let position = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(position).1)
    }

    /// The value under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The entries, as name and value, in the order they were set.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.0.iter())
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The metadata of a request: the headers that could have been set by
    /// [`insert`](Self::insert). Others are left out: a proxy or a broker plugin may add its own.
    pub(crate) fn from_headers(headers: &[(Text, Text)]) -> Self {
        let mut metadata = Self::new();
        for (name, value) in headers {
            if !headers::is_reserved(name) && metadata.insert(&**name, &**value).is_err() {
                tracing::debug!(%name, "a header is no metadata and was left out");
            }
        }
        metadata
    }
}

impl<N: Into<String>, V: Into<String>, const COUNT: usize> TryFrom<[(N, V); COUNT]> for Metadata {
    type Error = InvalidMetadata;

    fn try_from(entries: [(N, V); COUNT]) -> Result<Self, InvalidMetadata> {
        Self::try_from_iter(entries)
    }
}

/// The same entries, in whatever order they were set.
impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .all(|(name, value)| other.get(name) == Some(value))
    }
}

impl Eq for Metadata {}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

/// The entries of a [`Metadata`], borrowed; what [`Metadata::iter`] returns.
#[derive(Clone)]
pub struct Iter<'a>(slice::Iter<'a, (String, String)>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.0.next()?;
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.clone().map(|(name, _)| name))
            .finish()
    }
}

impl<'a> IntoIterator for &'a Metadata {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The entries of a [`Metadata`], owned.
pub struct IntoIter(vec::IntoIter<(String, String)>);

impl Iterator for IntoIter {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for IntoIter {}

impl fmt::Debug for IntoIter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.as_slice().iter().map(|(name, _)| name))
            .finish()
    }
}

impl IntoIterator for Metadata {
    type Item = (String, String);
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter(self.0.into_iter())
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
            "timestamp_in_ms",
            "traceparent",
            "dead-letter-reason",
            &"n".repeat(METADATA_NAME_BYTES_MAX + 1),
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
        let refused = metadata.insert("one-more", "v").unwrap_err();
        assert_eq!(refused.reason, Reason::Entries);
        metadata.insert("n0", "w").unwrap();
        assert_eq!(metadata.get("n0"), Some("w"));
        assert_eq!(metadata.len(), METADATA_ENTRIES_MAX);
    }

    #[test]
    fn equal_entries_in_another_order_are_equal_metadata() {
        let one = Metadata::try_from([("a", "1"), ("b", "2")]).unwrap();
        let other = Metadata::try_from([("b", "2"), ("a", "1")]).unwrap();
        assert_eq!(one, other);
        for unlike in [[("a", "1"), ("b", "3")], [("a", "1"), ("c", "2")]] {
            assert_ne!(one, Metadata::try_from(unlike).unwrap());
        }
        assert_ne!(one, Metadata::try_from([("a", "1")]).unwrap());
    }

    #[test]
    fn iterates_in_the_order_entries_were_set() {
        let entries = [("b", "2"), ("a", "1")];
        let metadata = Metadata::try_from(entries).unwrap();
        assert_eq!(metadata.iter().len(), 2);
        assert!(metadata.iter().eq(entries));
        let owned = entries.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(metadata.into_iter().eq(owned));
    }

    #[test]
    fn debug_shows_no_values() {
        let metadata = Metadata::try_from([("session", "s3cret")]).unwrap();
        let mut shown = vec![format!("{metadata:?}"), format!("{:?}", metadata.iter())];
        shown.push(format!("{:?}", metadata.into_iter()));
        assert_eq!(shown, [r#"{"session"}"#; 3]);
    }
}
