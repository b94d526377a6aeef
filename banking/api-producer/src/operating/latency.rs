//! How long requests take, by what the gateway counts of itself: the difference of two readings of
//! its metrics.

use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};
use utoipa::ToSchema;

/// What is counted of requests, up to now.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Reading {
    requests: f64,
    failed: f64,
    /// Requests that took up to so many seconds, by the bounds' bits: those of positive numbers are
    /// in their order.
    within: BTreeMap<u64, f64>,
}

/// The requests of a gateway between two readings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(super) struct Requests {
    /// A second.
    requests_per_second: f64,
    /// Those of them that were answered with 5xx, a second.
    failures_per_second: f64,
    /// Half of them took less, in milliseconds; not there if there were none.
    latency_p50_ms: Option<f64>,
    /// Of twenty nineteen took less.
    latency_p95_ms: Option<f64>,
    /// Of a hundred ninety-nine took less.
    latency_p99_ms: Option<f64>,
}

impl Reading {
    /// Reads metrics as Prometheus does.
    pub(super) fn of(metrics: &str) -> Self {
        let mut reading = Self::default();
        for line in metrics.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let Ok(value) = value.parse::<f64>() else {
                continue;
            };
            if let Some(labels) = name.strip_prefix("http_requests_total{") {
                reading.requests += value;
                if labels.contains("status=\"5") {
                    reading.failed += value;
                }
            } else if let Some(labels) = name.strip_prefix("http_request_duration_seconds_bucket{")
                && let Some(bound) = bound(labels)
            {
                *reading.within.entry(bound.to_bits()).or_default() += value;
            }
        }
        reading
    }

    /// What happened since an earlier one.
    pub(super) fn since(&self, before: &Self, apart: Duration) -> Requests {
        let seconds = apart.as_secs_f64().max(1e-3);
        let buckets: Vec<(f64, f64)> = self
            .within
            .iter()
            .map(|(bound, count)| {
                let earlier = before.within.get(bound).copied().unwrap_or_default();
                (f64::from_bits(*bound), (count - earlier).max(0.0))
            })
            .collect();
        let quantile = |share| quantile(&buckets, share).map(|seconds| seconds * 1_000.0);
        Requests {
            requests_per_second: (self.requests - before.requests).max(0.0) / seconds,
            failures_per_second: (self.failed - before.failed).max(0.0) / seconds,
            latency_p50_ms: quantile(0.5),
            latency_p95_ms: quantile(0.95),
            latency_p99_ms: quantile(0.99),
        }
    }
}

fn bound(labels: &str) -> Option<f64> {
    let (_, rest) = labels.split_once("le=\"")?;
    let bound = rest.split('"').next()?.parse::<f64>().ok()?;
    (bound > 0.0).then_some(bound)
}

/// The time that this share of requests took at most, where between its bounds each is as likely.
/// Of those beyond the last bound no more is known than that.
fn quantile(buckets: &[(f64, f64)], share: f64) -> Option<f64> {
    let total = buckets.last()?.1;
    if total <= 0.0 {
        return None;
    }
    let rank = share * total;
    let (mut below, mut counted) = (0.0, 0.0);
    for (bound, count) in buckets {
        if *count >= rank {
            if bound.is_infinite() {
                return Some(below);
            }
            let within = (count - counted).max(f64::MIN_POSITIVE);
            return Some(below + (bound - below) * ((rank - counted) / within).clamp(0.0, 1.0));
        }
        (below, counted) = (*bound, *count);
    }
    Some(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "\
# TYPE http_requests_total counter
http_requests_total{method=\"GET\",route=\"/\",status=\"200\"} 10
http_requests_total{method=\"GET\",route=\"/\",status=\"503\"} 1
http_request_duration_seconds_bucket{route=\"/\",le=\"0.1\"} 11
http_request_duration_seconds_bucket{route=\"/\",le=\"0.5\"} 11
http_request_duration_seconds_bucket{route=\"/\",le=\"+Inf\"} 11
http_request_duration_seconds_sum{route=\"/\"} 0.3
other_total 17
nonsense
";
    const AFTER: &str = "\
http_requests_total{method=\"GET\",route=\"/\",status=\"200\"} 28
http_requests_total{method=\"GET\",route=\"/\",status=\"503\"} 3
http_request_duration_seconds_bucket{route=\"/\",le=\"0.1\"} 21
http_request_duration_seconds_bucket{route=\"/\",le=\"0.5\"} 30
http_request_duration_seconds_bucket{route=\"/\",le=\"+Inf\"} 30
http_request_duration_seconds_bucket{route=\"/new\",le=\"+Inf\"} 1
";

    #[test]
    fn two_readings_tell_how_many_there_were_and_how_long_they_took() {
        let (before, after) = (Reading::of(BEFORE), Reading::of(AFTER));
        let seen = after.since(&before, Duration::from_secs(2));
        assert_eq!(seen.requests_per_second, 10.0);
        assert_eq!(seen.failures_per_second, 1.0);
        // Of 20, ten took up to 0.1 s, nineteen up to 0.5, and one longer.
        assert_eq!(seen.latency_p50_ms, Some(100.0));
        assert_eq!(seen.latency_p95_ms, Some(500.0));
        assert_eq!(seen.latency_p99_ms, Some(500.0));
        let none = after.since(&after, Duration::from_secs(2));
        assert_eq!((none.requests_per_second, none.latency_p50_ms), (0.0, None));
        // A program that was started anew counts from nothing.
        let restarted = before.since(&after, Duration::from_secs(2));
        assert_eq!(restarted.requests_per_second, 0.0);
        assert_eq!(restarted.latency_p99_ms, None);
    }

    #[test]
    fn what_the_gateway_counts_is_read() {
        let _ = chassis::metrics_text();
        let count = |seconds: f64| {
            metrics::histogram!("http_request_duration_seconds", "route" => "/x").record(seconds);
            metrics::counter!("http_requests_total", "route" => "/x", "status" => "500")
                .increment(1);
        };
        count(0.003);
        let before = Reading::of(&chassis::metrics_text());
        count(0.003);
        let after = Reading::of(&chassis::metrics_text());
        let seen = after.since(&before, Duration::from_secs(1));
        // Others may be counted at the same time.
        assert!(seen.requests_per_second >= 1.0, "{seen:?}");
        assert!(seen.failures_per_second >= 1.0, "{seen:?}");
        assert!(seen.latency_p99_ms.is_some(), "{seen:?}");
    }
}
