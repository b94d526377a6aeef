//! Times, as people write and read them.

use jiff::{Span, SpanRelativeTo, Timestamp};
use std::time::{Duration, SystemTime};

/// A moment, in UTC to the second.
pub(crate) fn clock(at: SystemTime) -> String {
    written(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// A moment, in UTC to the millisecond.
pub(crate) fn clock_millis(at: SystemTime) -> String {
    written(at, "%Y-%m-%dT%H:%M:%S.%3fZ")
}

fn written(at: SystemTime, format: &str) -> String {
    match Timestamp::try_from(at) {
        Ok(at) => at.strftime(format).to_string(),
        Err(_) => "-".to_owned(),
    }
}

/// How long ago, or "-" if a clock is behind.
pub(crate) fn ago(at: SystemTime) -> String {
    let age = SystemTime::now().duration_since(at).ok();
    age.map_or_else(
        || "-".to_owned(),
        |age| match age.as_secs() {
            0 => duration(age),
            seconds => duration(Duration::from_secs(seconds)),
        },
    )
}

/// A time in its two largest units: `3d 4h`, `12.3ms`; to three digits if it has seconds only.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let two = |large: u64, l: &str, small: u64, s: &str| match small {
        0 => format!("{large}{l}"),
        small => format!("{large}{l} {small}{s}"),
    };
    match seconds {
        0 => format!("{:.1?}", Duration::from_micros(micros(time))),
        1..=9 if time.subsec_millis() >= 10 => {
            format!("{seconds}.{:02}s", time.subsec_millis() / 10)
        }
        1..=59 => format!("{seconds}s"),
        60..=3_599 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..=86_399 => two(seconds / 3_600, "h", seconds / 60 % 60, "m"),
        _ => two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

/// The same, or "-" if it is not known.
pub(crate) fn measured(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), duration)
}

/// Milliseconds with their parts.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A time such as `500ms`, `2s`, `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let span: Option<Span> = text.parse().ok();
    let time = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let parsed = time.and_then(|time| Duration::try_from(time).ok());
    parsed.ok_or_else(|| "expected a time such as 500ms, 2s, 1h30m or 2d".to_owned())
}

/// A moment, as RFC 3339 writes it.
pub(crate) fn parse_moment(text: &str) -> Result<SystemTime, String> {
    let moment: Result<Timestamp, _> = text.parse();
    let moment = moment.map(SystemTime::from);
    moment.map_err(|_| "expected a moment such as 2026-12-24T18:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn times_are_read_and_written_as_people_do() {
        for (text, millis, written) in [
            ("500ms", 500, "500.0ms"),
            ("2s", 2_000, "2s"),
            ("2987ms", 2_987, "2.98s"),
            ("90s", 90_000, "1m 30s"),
            ("1h30m", 5_400_000, "1h 30m"),
            ("2d", 172_800_000, "2d"),
        ] {
            let time = parse_duration(text).unwrap();
            assert_eq!(time, Duration::from_millis(millis), "{text}");
            assert_eq!(duration(time), written);
        }
        for bad in ["", "2", "-2s", "soon", "1y"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(clock(UNIX_EPOCH), "1970-01-01T00:00:00Z");
        let later = UNIX_EPOCH + Duration::from_millis(1_007);
        assert_eq!(clock_millis(later), "1970-01-01T00:00:01.007Z");
    }
}
