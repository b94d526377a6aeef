//! The note in a content header that replaced an unreadable one: it goes where no publisher can
//! put it, and is read where deliveries are.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

/// Bytes of the reasons in one note. With the marker's own they fit into a short string.
const REASONS_BYTES_MAX: usize = 200;

/// The sign of one connection's notes, which nobody else knows: with it, a property says that its
/// content header was replaced, and why. Without it the property is a publisher's own.
#[derive(Debug, Clone)]
pub(crate) struct Marker(Arc<str>);

impl Marker {
    /// Bytes of a note as a property, its length included.
    pub(super) const BYTES_MAX: usize = 256;

    /// A marker out of random text, of 40 bytes at most.
    pub(crate) fn new(random: &str) -> Self {
        Self(random.into())
    }

    /// The note to put into a content header.
    pub(super) fn note(&self, notes: &Notes) -> String {
        format!("{} {}", self.0, notes.0)
    }

    /// The reason why a content header was replaced; `None` if it was not.
    pub(crate) fn reason_in<'a>(&self, property: &'a str) -> Option<&'a str> {
        property.strip_prefix(&*self.0)?.strip_prefix(' ')
    }
}

/// The reasons why a content header is replaced, in words, as many as fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes(String);

impl Notes {
    pub(super) fn of(reason: &str) -> Self {
        let mut notes = Self::default();
        notes.add(format_args!("{reason}"));
        notes
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, reason: fmt::Arguments<'_>) {
        let before = self.0.len();
        let separator = if before == 0 { "" } else { "; " };
        // Writing to a text can't fail.
        let _ = write!(self.0, "{separator}{reason}");
        if self.0.len() > REASONS_BYTES_MAX {
            self.0.truncate(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_connections_own_notes_are_read() {
        let marker = Marker::new("4f1c");
        let note = marker.note(&Notes::of("app_id is not UTF-8"));
        assert_eq!(marker.reason_in(&note), Some("app_id is not UTF-8"));
        assert_eq!(Marker::new("4f1d").reason_in(&note), None);
        assert_eq!(marker.reason_in("4f1c"), None);
        assert_eq!(marker.reason_in(""), None);
    }

    #[test]
    fn a_note_fits_into_a_short_string() {
        let mut notes = Notes::default();
        for n in 0..1000 {
            notes.add(format_args!("header {n} is not UTF-8"));
        }
        assert!(notes.0.starts_with("header 0 is not UTF-8; header 1"));
        let note = Marker::new(&"x".repeat(40)).note(&notes);
        assert!(note.len() < Marker::BYTES_MAX);
    }
}
