//! Quantiles and medians of what was measured.

use std::time::Duration;

/// The smallest of the sorted values that at least `thousandths` of 1,000 do not exceed (nearest
/// rank); zero if there are none.
#[must_use]
pub fn quantile(sorted: &[Duration], thousandths: usize) -> Duration {
    let rank = (sorted.len() * thousandths).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// The value in the middle, or the mean of the two there; `NaN` if there are none.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(low), Some(high)) if sorted.len().is_multiple_of(2) => low.midpoint(*high),
        (_, Some(value)) => *value,
        (_, None) => f64::NAN,
    }
}

/// A value with so many steps between two whole numbers.
#[must_use]
pub fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_nearest_rank() {
        let sorted: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(quantile(&sorted, 500), Duration::from_micros(100));
        assert_eq!(quantile(&sorted, 990), Duration::from_micros(198));
        assert_eq!(quantile(&sorted, 999), Duration::from_micros(200));
        assert_eq!(quantile(&sorted[..1], 999), Duration::from_micros(1));
        assert_eq!(quantile(&[], 500), Duration::ZERO);
    }

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median([3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]).to_bits(), 2.5_f64.to_bits());
        assert!(median([]).is_nan());
    }
}
