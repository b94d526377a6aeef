//! Money: whole minor units inside, a JSON number with at most two decimals outside.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use serde_json::value::RawValue;
use std::fmt;

/// Minor units in one unit of money.
pub(crate) const MINOR_PER_UNIT: i64 = 100;
/// The most that one piece can cost, in minor units: an order of the most pieces can be counted.
const PRICE_MAX: i64 = 100_000_000_000;

/// An amount of money, in minor units. It is read from the digits as they were sent: `19.99` is
/// 1999, and no float is ever near it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Price(i64);

impl Price {
    /// An amount in minor units, not negative.
    pub(crate) const fn of_minor(minor: i64) -> Self {
        Self(minor)
    }

    /// It in minor units.
    pub(crate) const fn minor(self) -> i64 {
        self.0
    }

    fn read(text: &str) -> Option<Self> {
        let (units, minor) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if units.is_empty() || !(1..=2).contains(&minor.len()) || !digits(units) || !digits(minor) {
            return None;
        }
        let tenths = if minor.len() == 1 { 10 } else { 1 };
        let minor = minor.parse::<i64>().ok()? * tenths;
        let units: i64 = units.parse().ok()?;
        let price = units.checked_mul(MINOR_PER_UNIT)?.checked_add(minor)?;
        (price <= PRICE_MAX).then_some(Self(price))
    }
}

/// With a point and two decimals.
impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, minor) = (self.0 / MINOR_PER_UNIT, self.0 % MINOR_PER_UNIT);
        write!(f, "{units}.{minor:02}")
    }
}

impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = RawValue::from_string(self.to_string());
        number.map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Box::<RawValue>::deserialize(deserializer)?;
        Self::read(number.get()).ok_or_else(|| {
            D::Error::custom(format!(
                "a price is a number from 0 to {}, with at most two decimals",
                Self(PRICE_MAX)
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_taken_by_its_digits_and_given_back_so() {
        for (text, minor, again) in [
            ("19.99", 1999, "19.99"),
            ("0.1", 10, "0.10"),
            ("7", 700, "7.00"),
            ("0", 0, "0.00"),
            // As a float it is 4.34999..
            ("4.35", 435, "4.35"),
            ("1000000000.00", PRICE_MAX, "1000000000.00"),
        ] {
            let price: Price = serde_json::from_str(text).unwrap();
            assert_eq!(price.minor(), minor, "{text}");
            assert_eq!(serde_json::to_string(&price).unwrap(), again);
        }
    }

    #[test]
    fn what_is_no_price_is_refused_and_nothing_rounded() {
        for text in [
            "19.999",
            "1.000",
            "-1",
            "-0.01",
            "1e2",
            "1.",
            "\"19.99\"",
            "null",
            "[1]",
            "1000000000.01",
            "99999999999999999999",
        ] {
            assert!(serde_json::from_str::<Price>(text).is_err(), "{text}");
        }
    }
}
