//! Names of users.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;

/// The name of a user: 3 to 32 ASCII letters, digits, `_`, `-` and `.`, beginning with a letter or
/// digit. Those that differ only by case are the same user's.
///
/// Nobody can hold one that is not allowed: it is checked where it is made, and again where it is
/// read from a message. So it can be shown anywhere, and every database takes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 3, max_length = 32)]
pub struct Username(String);

impl Username {
    /// As it was registered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Username {
    type Error = InvalidUsername;

    fn try_from(text: String) -> Result<Self, InvalidUsername> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let is_name = (3..=32).contains(&text.len())
            && text.bytes().all(known)
            && text.starts_with(|first: char| first.is_ascii_alphanumeric());
        is_name.then_some(Self(text)).ok_or(InvalidUsername)
    }
}

impl FromStr for Username {
    type Err = InvalidUsername;

    fn from_str(text: &str) -> Result<Self, InvalidUsername> {
        Self::try_from(text.to_owned())
    }
}

impl From<Username> for String {
    fn from(name: Username) -> Self {
        name.0
    }
}

/// Not the name of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("username: {allowed}", allowed = Self::ALLOWED)]
pub struct InvalidUsername;

impl InvalidUsername {
    /// The names that there are, in words.
    pub const ALLOWED: &'static str =
        "3 to 32 letters, digits, _, - and . are allowed, beginning with a letter or digit";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_is_3_to_32_of_what_is_allowed() {
        let longest = "a".repeat(32);
        for allowed in ["ada", "ADA", "a.b", "0_-", "7up", &longest] {
            assert!(allowed.parse::<Username>().is_ok(), "{allowed}");
        }
        let too_long = "a".repeat(33);
        for wrong in [
            "",
            "ab",
            ".ab",
            "_ab",
            "-ab",
            "a b",
            "ada ",
            " ada",
            "ada\0",
            "ada'",
            "ädä",
            "аda",
            "a@b",
            "a\u{202e}b",
            &too_long,
        ] {
            assert_eq!(wrong.parse::<Username>(), Err(InvalidUsername), "{wrong:?}");
        }
    }
}
