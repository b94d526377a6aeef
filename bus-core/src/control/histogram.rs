//! How long many things took, in little room: a count for each of a fixed row of buckets.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Buckets of each power of two of microseconds: what is read out is at most an eighth too large.
const PARTS: u64 = 8;

/// What takes 2^35 microseconds or longer, 9.5 hours, is in the last bucket.
const BUCKETS: usize = 264;

/// Buckets of a histogram that are read: room for finer ones than ours.
const BUCKETS_READ_MAX: usize = 4 * BUCKETS;

/// How long calls took: a count for each bucket of durations.
///
/// Durations of one bucket differ by an eighth at most, and by a microsecond below 16 µs; what is
/// longer than 9.5 hours is in the last one. Counts only grow while an instance lives, so the
/// histogram of an interval is that of its end [less](Self::since) that of its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DurationHistogram {
    /// By the largest duration of each bucket, in microseconds; those without any are left out.
    counts: BTreeMap<u64, u64>,
}

impl DurationHistogram {
    /// How many durations are in it.
    #[must_use]
    pub fn count(&self) -> u64 {
        let counts = self.counts.values();
        counts.fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The duration that this part of them, from 0 to 1, did not exceed: `quantile(0.99)` is p99.
    /// It is the largest of its bucket, so up to an eighth too large. `None` if it is empty, as that
    /// of an instance which does not measure.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among fewer than 2^53; what is no number is the first"
    )]
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let rank = (self.count() as f64 * part.clamp(0.0, 1.0)).ceil() as u64;
        let mut seen = 0_u64;
        let of_rank = self.counts.iter().find(|(_, count)| {
            seen = seen.saturating_add(**count);
            seen >= rank.max(1)
        });
        of_rank.map(|(micros, _)| Duration::from_micros(*micros))
    }

    /// What was added to it since an earlier look at the same.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let added = self.counts.iter().filter_map(|(micros, count)| {
            let before = earlier.counts.get(micros).copied().unwrap_or(0);
            let added = count.saturating_sub(before);
            (added > 0).then_some((*micros, added))
        });
        Self {
            counts: added.collect(),
        }
    }

    /// Adds those of another.
    pub fn merge(&mut self, other: &Self) {
        for (micros, count) in &other.counts {
            let sum = self.counts.entry(*micros).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
}

// As pairs of a bucket's largest duration in microseconds and its count, in ascending order.
impl Serialize for DurationHistogram {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(&self.counts)
    }
}

impl<'de> Deserialize<'de> for DurationHistogram {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(u64, u64)>::deserialize(from)?;
        if pairs.len() > BUCKETS_READ_MAX {
            let buckets = pairs.len();
            let text = format!("{buckets} buckets, {BUCKETS_READ_MAX} are read");
            return Err(D::Error::custom(text));
        }
        Ok(Self {
            counts: pairs.into_iter().collect(),
        })
    }
}

/// A histogram that many threads add to. To add is one atomic addition.
#[derive(Debug)]
pub(super) struct AtomicHistogram([AtomicU64; BUCKETS]);

impl Default for AtomicHistogram {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl AtomicHistogram {
    pub(super) fn add(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.0.get(bucket(micros)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> DurationHistogram {
        let counts = self.0.iter().enumerate().filter_map(|(at, count)| {
            let count = count.load(Ordering::Relaxed);
            (count > 0).then(|| (largest(at), count))
        });
        DurationHistogram {
            counts: counts.collect(),
        }
    }
}

/// Below twice `PARTS` each microsecond has a bucket, and from there on each power of two as many.
fn bucket(micros: u64) -> usize {
    let power = micros.max(1).ilog2().saturating_sub(PARTS.ilog2());
    let at = u64::from(power) * PARTS + (micros >> power);
    usize::try_from(at).map_or(BUCKETS - 1, |at| at.min(BUCKETS - 1))
}

/// The largest duration of a bucket, in microseconds.
fn largest(at: usize) -> u64 {
    let at = u64::try_from(at).unwrap_or(u64::MAX);
    let power = (at / PARTS).saturating_sub(1);
    ((at - power * PARTS + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{self, ContentType};

    fn of(micros: impl IntoIterator<Item = u64>) -> DurationHistogram {
        let histogram = AtomicHistogram::default();
        for micros in micros {
            histogram.add(Duration::from_micros(micros));
        }
        histogram.read()
    }

    #[test]
    fn a_bucket_holds_what_is_at_most_an_eighth_below_its_largest() {
        let seconds = [1_234_567, 86_400_000, 34_359_738_367];
        for micros in (0..5_000).chain(seconds) {
            let largest = largest(bucket(micros));
            let allowed = micros / PARTS;
            assert!(
                largest >= micros && largest - micros <= allowed,
                "{micros}: {largest}"
            );
        }
        let last = largest(BUCKETS - 1);
        assert_eq!(largest(bucket(last)), last);
        assert_eq!(bucket(last + 1), BUCKETS - 1);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_of_what_was_added_since_and_never_too_small() {
        let before = of([1_000_000; 50]);
        let mut after = before.clone();
        assert_eq!(after.since(&before).quantile(0.5), None);
        after.merge(&of((1..=100).map(|millis| millis * 1_000)));
        let added = after.since(&before);
        assert_eq!(added.count(), 100);
        for (part, millis) in [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100), (7.0, 100)] {
            let read = added.quantile(part).unwrap();
            let exact = Duration::from_millis(millis);
            assert!(
                read >= exact && read <= exact + exact / 8,
                "{part}: {read:?}"
            );
        }
        assert_eq!(added.quantile(f64::NAN), added.quantile(0.0));
        // An instance that was started anew, or lies.
        assert_eq!(before.since(&after).count(), 0);
    }

    #[test]
    fn it_reads_back_what_it_writes_and_what_is_forged_is_bounded() {
        let histogram = of([0, 3, 3, 70_000]);
        let written = codec::encode(ContentType::Json, &histogram, 1_000).unwrap();
        assert_eq!(written, "[[0,1],[3,2],[73727,1]]");
        let read =
            |text: &str| codec::decode::<DurationHistogram>(ContentType::Json, text.as_bytes());
        assert_eq!(read("[[0,1],[3,2],[73727,1]]").unwrap(), histogram);
        let huge = read("[[0,18446744073709551615],[1,18446744073709551615]]").unwrap();
        assert_eq!(huge.count(), u64::MAX);
        assert_eq!(huge.quantile(0.5), Some(Duration::ZERO));
        let pairs = vec!["[1,1]"; BUCKETS_READ_MAX + 1].join(",");
        for bad in ["{}", "[[1]]", "[[-1,1]]", &format!("[{pairs}]")] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
