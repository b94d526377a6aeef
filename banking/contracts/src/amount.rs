//! Money.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// An amount of money to move, in minor units: 1 to [`Amount::MAX`].
///
/// Nobody can hold one that is not allowed: it is checked where it is made, and again where it is
/// read from a message.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "i64", into = "i64")]
#[schema(value_type = i64, minimum = 1, maximum = 1_000_000_000_000_i64)]
pub struct Amount(i64);

impl Amount {
    /// The largest amount of one posting: 10^12 minor units. A million of them still fits a
    /// balance, and JSON numbers hold a thousand of them exactly.
    pub const MAX: i64 = 1_000_000_000_000;

    /// An amount of `minor_units`.
    ///
    /// # Errors
    /// It is not between 1 and [`Amount::MAX`].
    pub const fn new(minor_units: i64) -> Result<Self, InvalidAmount> {
        if minor_units < 1 || minor_units > Self::MAX {
            return Err(InvalidAmount(minor_units));
        }
        Ok(Self(minor_units))
    }

    /// In minor units.
    #[must_use]
    pub const fn minor_units(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<i64> for Amount {
    type Error = InvalidAmount;

    fn try_from(minor_units: i64) -> Result<Self, InvalidAmount> {
        Self::new(minor_units)
    }
}

impl From<Amount> for i64 {
    fn from(amount: Amount) -> Self {
        amount.0
    }
}

/// Not an amount that can be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("amount: {0} is not between 1 and {max} minor units", max = Amount::MAX)]
pub struct InvalidAmount(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_amounts_that_can_be_moved_exist() {
        for allowed in [1, 2, Amount::MAX] {
            assert_eq!(Amount::new(allowed).map(Amount::minor_units), Ok(allowed));
        }
        for refused in [0, -1, i64::MIN, Amount::MAX + 1, i64::MAX] {
            assert_eq!(Amount::new(refused), Err(InvalidAmount(refused)));
            let travelled = serde_json::from_str::<Amount>(&refused.to_string());
            assert!(travelled.is_err(), "{refused} was read from a message");
        }
        for text in ["1.5", "\"5\"", "1e2", "null", "true"] {
            assert!(serde_json::from_str::<Amount>(text).is_err(), "{text}");
        }
    }
}
