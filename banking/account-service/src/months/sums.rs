//! What the entries of an account come to, one after the other.

use jiff::Timestamp;

/// An entry, as far as a statement adds it up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Added {
    /// Counts the entries of the account.
    pub(super) number: i64,
    /// In minor units; negative if it left the account.
    pub(super) amount: i64,
    pub(super) posted_at: Timestamp,
}

/// What the entries up to one of them came to. An entry belongs to the month in which it was posted,
/// whatever its number: what two processes post at the same moment can have either order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// The number of the last one that was looked at.
    pub(super) looked_at: i64,
    /// What those before the month came to.
    pub(super) opening: i64,
    /// What came in, and what went out.
    pub(super) paid_in: i64,
    pub(super) paid_out: i64,
    /// How many there are, and the numbers of the first and the last.
    pub(super) entries: i64,
    pub(super) first: i64,
    pub(super) last: i64,
}

/// More money moved than can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sum is more than can be counted")]
pub(crate) struct TooMuch;

impl Sums {
    /// With one more entry, by the month's bounds.
    pub(super) fn with(
        mut self,
        entry: Added,
        (begins, ends): (Timestamp, Timestamp),
    ) -> Result<Self, TooMuch> {
        self.looked_at = entry.number;
        let add = |sum: i64, amount: i64| sum.checked_add(amount).ok_or(TooMuch);
        if entry.posted_at < begins {
            self.opening = add(self.opening, entry.amount)?;
        } else if entry.posted_at < ends {
            if entry.amount < 0 {
                let out = entry.amount.checked_neg().ok_or(TooMuch)?;
                self.paid_out = add(self.paid_out, out)?;
            } else {
                self.paid_in = add(self.paid_in, entry.amount)?;
            }
            self.entries = add(self.entries, 1)?;
            self.last = entry.number;
            if self.first == 0 {
                self.first = entry.number;
            }
        }
        Ok(self)
    }

    /// What is on the account at the end.
    pub(super) fn closing(&self) -> i64 {
        // Each is counted; the balance was, too, whenever it was.
        self.opening
            .saturating_add(self.paid_in)
            .saturating_sub(self.paid_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn sums(entries: &[(i64, i64)]) -> Result<Sums, TooMuch> {
        let bounds = (at(100), at(200));
        let numbered = (1..).zip(entries);
        let mut sums = Sums::default();
        for (number, &(second, amount)) in numbered {
            let entry = Added {
                number,
                amount,
                posted_at: at(second),
            };
            sums = sums.with(entry, bounds)?;
        }
        Ok(sums)
    }

    #[test]
    fn a_month_begins_with_what_was_before_and_has_what_was_posted_in_it() {
        let sums = sums(&[(5, 1_000), (99, -10), (100, 7), (199, -3), (200, 500)]).unwrap();
        assert_eq!((sums.opening, sums.paid_in, sums.paid_out), (990, 7, 3));
        assert_eq!((sums.closing(), sums.entries), (994, 2));
        assert_eq!((sums.first, sums.last, sums.looked_at), (3, 4, 5));
    }

    #[test]
    fn entries_of_either_order_belong_to_the_month_they_were_posted_in() {
        let sums = sums(&[(5, 100), (101, 1), (99, 2), (201, 4), (199, 8)]).unwrap();
        assert_eq!((sums.opening, sums.paid_in, sums.entries), (102, 9, 2));
        assert_eq!((sums.first, sums.last), (2, 5));
    }

    #[test]
    fn a_month_without_entries_ends_as_it_began() {
        let sums = sums(&[(5, 100), (300, 1)]).unwrap();
        assert_eq!((sums.opening, sums.closing(), sums.entries), (100, 100, 0));
        assert_eq!((sums.first, sums.last), (0, 0));
    }

    #[test]
    fn what_can_not_be_counted_is_no_sum() {
        for entry in [i64::MAX, -i64::MAX] {
            assert_eq!(sums(&[(150, entry), (150, entry)]), Err(TooMuch));
        }
        assert_eq!(sums(&[(150, i64::MIN)]), Err(TooMuch));
    }
}
