//! Many times in little room.

use std::time::Duration;

/// Parts of each power of two: what is read out is at most a 32nd too large.
const PARTS: u64 = 32;

/// Powers of two of microseconds: up to two days.
const POWERS: usize = 38;

/// Times, each in a bucket of times like it.
pub(super) struct Latencies {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Default for Latencies {
    fn default() -> Self {
        let parts = usize::try_from(PARTS).unwrap_or_default();
        Self {
            buckets: vec![0; parts * POWERS],
            count: 0,
            max: Duration::ZERO,
        }
    }
}

impl Latencies {
    pub(super) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let last = self.buckets.len() - 1;
        if let Some(bucket) = self.buckets.get_mut(bucket(micros).min(last)) {
            *bucket += 1;
        }
        self.count += 1;
        self.max = self.max.max(time);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (to, from) in self.buckets.iter_mut().zip(&other.buckets) {
            *to += from;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn max(&self) -> Duration {
        self.max
    }

    /// The time that so many thousandths took at most.
    pub(super) fn at(&self, permille: u64) -> Duration {
        let wanted = self.count.saturating_mul(permille).div_ceil(1_000).max(1);
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_micros(upper(at)).min(self.max);
            }
        }
        self.max
    }
}

/// Below `PARTS` each microsecond has a bucket, and from there on each power of two has as many.
fn bucket(micros: u64) -> usize {
    let power = micros.max(1).ilog2().saturating_sub(PARTS.ilog2());
    let part = micros >> power;
    let at = u64::from(power) * PARTS + part;
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// The largest time of a bucket.
fn upper(at: usize) -> u64 {
    let at = u64::try_from(at).unwrap_or(u64::MAX);
    let power = (at / PARTS).saturating_sub(1);
    let part = at - power * PARTS;
    ((part + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_at_most_a_32nd_below_its_largest() {
        for micros in (0..5_000).chain([99_999, 1_234_567, 86_400_000_000]) {
            let largest = upper(bucket(micros));
            assert!(
                largest >= micros && largest - micros <= micros / PARTS,
                "{micros}: {largest}"
            );
        }
    }

    #[test]
    fn percentiles_are_read_out_of_all_that_was_added() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.at(500), Duration::ZERO);
        for millis in 1..=100 {
            let mut one = Latencies::default();
            one.add(Duration::from_millis(millis));
            latencies.merge(&one);
        }
        assert_eq!(latencies.count(), 100);
        for (permille, millis) in [(500, 50), (990, 99), (1_000, 100)] {
            let read = latencies.at(permille);
            let exact = Duration::from_millis(millis);
            assert!(
                read >= exact && read <= exact + exact / 32,
                "{permille}: {read:?}"
            );
        }
        latencies.add(Duration::MAX);
        assert_eq!(latencies.max(), Duration::MAX);
    }
}
