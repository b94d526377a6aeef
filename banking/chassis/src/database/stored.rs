//! Values as they are stored.

use contracts::SEARCH_CHARS_MAX;
use jiff::Timestamp;
use std::time::Duration;

/// A sum of `BIGINT`s can be larger than one, so it is taken in two parts: of the whole
/// multiples of this, and of the rest.
const PART: i128 = 1_000_000_000;

/// Now, as it is stored.
#[must_use]
pub fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// That long from now, as it is stored.
#[must_use]
pub fn after(pause: Duration) -> i64 {
    now().saturating_add(i64::try_from(pause.as_micros()).unwrap_or(i64::MAX))
}

/// A stored moment.
///
/// # Errors
/// It is out of the range that can be shown.
pub fn moment(stored: i64) -> sqlx::Result<Timestamp> {
    Timestamp::from_microsecond(stored).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Reads a stored text, such as an id.
///
/// # Errors
/// It can't be read.
pub fn parsed<T: std::str::FromStr<Err: Into<sqlx::error::BoxDynError>>>(
    stored: &str,
) -> sqlx::Result<T> {
    stored
        .parse()
        .map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}

/// The entries of a list whose rows can be read. A row that can't be is left out, rather than keep
/// all the others from whoever asks; it is logged and counted.
pub fn readable<R, T>(
    list: &'static str,
    rows: impl IntoIterator<Item = R>,
    read: impl Fn(R) -> sqlx::Result<T>,
) -> Vec<T> {
    let read = rows.into_iter().map(read);
    read.filter_map(|entry| {
        entry
            .inspect_err(|error| {
                let error: &dyn std::error::Error = error;
                metrics::counter!("bank_unreadable_rows_total", "list" => list).increment(1);
                tracing::error!(list, error, "a row can't be read, and is left out");
            })
            .ok()
    })
    .collect()
}

/// A number of rows.
///
/// # Errors
/// It is negative.
pub fn count(stored: i64) -> sqlx::Result<u64> {
    u64::try_from(stored).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// The sum of amounts, of which `SUM(amount / 1000000000)` and `SUM(amount % 1000000000)` are
/// stored or selected; the most that there is, if it is more.
#[must_use]
pub fn summed(billions: i64, rest: i64) -> i64 {
    let sum = i128::from(billions) * PART + i128::from(rest);
    i64::try_from(sum).unwrap_or(i64::MAX)
}

/// The pattern that names in lower case and numbers which contain `part` are `LIKE`, with
/// `ESCAPE '!'`. None contains what is longer than [`SEARCH_CHARS_MAX`] or holds a control
/// character, of which PostgreSQL does not take NUL.
#[must_use]
pub fn like_containing(part: &str) -> Option<String> {
    let part = part.trim().to_lowercase();
    if part.chars().count() > SEARCH_CHARS_MAX || part.contains(char::is_control) {
        return None;
    }
    let mut pattern = String::from("%");
    for letter in part.chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    Some(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_is_taken_literally() {
        assert_eq!(like_containing("").as_deref(), Some("%%"));
        assert_eq!(like_containing(" Ada ").as_deref(), Some("%ada%"));
        assert_eq!(like_containing("50%_!\\").as_deref(), Some("%50!%!_!!\\%"));
        assert_eq!(like_containing("a\0b"), None);
        assert_eq!(like_containing(&"a".repeat(SEARCH_CHARS_MAX + 1)), None);
    }

    #[test]
    fn a_sum_that_can_not_be_counted_is_the_most_that_can() {
        assert_eq!(summed(4, 7), 4_000_000_007);
        assert_eq!(summed(i64::MAX / 1_000_000_000, 854_775_807), i64::MAX);
        assert_eq!(summed(i64::MAX, i64::MAX), i64::MAX);
    }
}
