//! The text that goes with a transfer.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// A text that the sender of a transfer gives it, for both sides to see: 1 to 140 characters on one
/// line, none of which is there to hide or turn others around.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 140, example = "Rent, March")]
pub struct Reference(String);

impl Reference {
    /// The longest reference, in characters: as much as a SEPA transfer carries, so that one that
    /// is to leave the bank one day still fits.
    pub const CHARS_MAX: usize = 140;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form that references are searched by.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Reference {
    type Error = InvalidReference;

    fn try_from(text: String) -> Result<Self, InvalidReference> {
        let length = text.chars().count();
        let is_shown = |letter: char| !letter.is_control() && !is_unseen(letter);
        if (1..=Self::CHARS_MAX).contains(&length)
            && text.trim() == text
            && text.chars().all(is_shown)
        {
            Ok(Self(text))
        } else {
            Err(InvalidReference)
        }
    }
}

impl std::str::FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        Self::try_from(text.to_owned())
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.0
    }
}

/// Ends of lines and paragraphs, marks of the direction of text, and what has no width: with them a
/// text looks like another one. Joiners stay: Persian and emoji need them.
fn is_unseen(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Not a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("reference: {}", Self::ALLOWED)]
pub struct InvalidReference;

impl InvalidReference {
    /// What is allowed, in words.
    pub const ALLOWED: &str = "1 to 140 characters on one line are allowed, without spaces around \
                               them and without invisible ones";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_line_that_is_what_it_looks_like() {
        let longest = "ä".repeat(Reference::CHARS_MAX);
        for allowed in ["a", "Tiền nhà tháng 3", "=1+1", "חוב", "👩‍👧", &longest] {
            assert!(allowed.parse::<Reference>().is_ok(), "{allowed:?}");
        }
        let too_long = "ä".repeat(Reference::CHARS_MAX + 1);
        for refused in [
            "",
            " ",
            " a",
            "a\u{a0}",
            "a\nb",
            "a\tb",
            "a\0b",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{200b}b",
            "a\u{2028}b",
            "\u{feff}a",
            &too_long,
        ] {
            assert!(refused.parse::<Reference>().is_err(), "{refused:?}");
            let travelled = serde_json::from_value::<Reference>(refused.into());
            assert!(travelled.is_err(), "{refused:?} was read from a message");
        }
    }
}
