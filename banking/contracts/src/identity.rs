//! Ids of users, and numbers of their accounts.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;
use uuid::Uuid;

/// A user of the bank, by an id that never changes and says nothing but when it was made (UUIDv7).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
#[schema(value_type = String, format = Uuid)]
pub struct UserId(Uuid);

impl UserId {
    /// A new user's id.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each one is another")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for UserId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// The number of an account: 6 to 20 digits. The bank gives out 12, the last of which is a Luhn
/// check digit (ISO/IEC 7812-1, annex B), so that one mistyped digit never names another account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "400012345675")]
pub struct AccountNumber(String);

impl AccountNumber {
    /// A new account's number, drawn from 10^11. Whoever opens the account draws again if it is
    /// taken.
    #[must_use]
    pub fn draw() -> Self {
        let number = rand::random_range(0..10_u64.pow(11));
        let digits = format!("{number:011}");
        let check = luhn_check_digit(&digits);
        Self(format!("{digits}{check}"))
    }

    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The digit that makes `digits`, followed by it, pass a Luhn check.
fn luhn_check_digit(digits: &str) -> u32 {
    let doubled = |digit: u32| match digit * 2 {
        two if two > 9 => two - 9,
        one => one,
    };
    let digits = digits.chars().rev().filter_map(|digit| digit.to_digit(10));
    let sum: u32 = digits
        .enumerate()
        .map(|(place, digit)| {
            if place % 2 == 0 {
                doubled(digit)
            } else {
                digit
            }
        })
        .sum();
    (10 - sum % 10) % 10
}

impl fmt::Display for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountNumber {
    type Err = InvalidAccountNumber;

    fn from_str(text: &str) -> Result<Self, InvalidAccountNumber> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for AccountNumber {
    type Error = InvalidAccountNumber;

    fn try_from(text: String) -> Result<Self, InvalidAccountNumber> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        if digits && (6..=20).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(InvalidAccountNumber)
        }
    }
}

impl From<AccountNumber> for String {
    fn from(number: AccountNumber) -> Self {
        number.0
    }
}

/// Not the number of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("account_number: 6 to 20 digits are allowed")]
pub struct InvalidAccountNumber;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_is_luhns() {
        // The example of the standard's Wikipedia article: 1789372997, check digit 4.
        assert_eq!(luhn_check_digit("1789372997"), 4);
        assert_eq!(luhn_check_digit("0"), 0);
    }

    #[test]
    fn one_mistyped_digit_is_never_a_number_the_bank_gives_out() {
        for _ in 0..50 {
            let number = AccountNumber::draw();
            assert_eq!(number.as_str().len(), 12);
            for place in 0..11 {
                for typed in '0'..='9' {
                    let mut digits: Vec<char> = number.as_str().chars().collect();
                    if digits[place] == typed {
                        continue;
                    }
                    digits[place] = typed;
                    let mistyped: String = digits.iter().take(11).collect();
                    let check = char::from_digit(luhn_check_digit(&mistyped), 10);
                    assert_ne!(check, digits.last().copied());
                }
            }
        }
    }

    #[test]
    fn only_digits_are_a_number() {
        for refused in [
            "",
            "12345",
            "12345a",
            "-123456",
            "１２３４５６",
            &"1".repeat(21),
        ] {
            assert!(refused.parse::<AccountNumber>().is_err(), "{refused}");
        }
        assert!("000000".parse::<AccountNumber>().is_ok());
    }
}
