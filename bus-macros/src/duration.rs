//! Durations as attributes spell them: `"250ms"`, `"2s"`, `"1m"`, `"4h"`.

use std::str::FromStr;

/// A duration in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Millis(pub(crate) u64);

/// The most time that a call may be given, in milliseconds; `replybus::limits` says why.
const MAX: u64 = 20 * 60 * 1000;

/// The same of a job.
const JOB_MAX: u64 = 7 * 24 * 60 * 60 * 1000;
/// The milliseconds of a duration in `ms`, `s`, `m` or `h`; as many as there can be, if it has more.
pub(crate) fn in_millis(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    // Digits that don't fit are too many as well.
    let number = number.parse().unwrap_or(u64::MAX);
    (digits > 0).then(|| number.saturating_mul(unit))
}

impl FromStr for Millis {
    type Err = String;

    /// The time of a call.
    fn from_str(text: &str) -> Result<Self, String> {
        let too_long = "at most \"20m\" are allowed, and more to a job: `#[command(job = \"4h\")]`";
        Self::up_to(MAX, too_long, text)
    }
}

impl Millis {
    /// The time of a job.
    pub(crate) fn of_job(text: &str) -> Result<Self, String> {
        Self::up_to(JOB_MAX, "at most \"168h\" are allowed, a week", text)
    }

    fn up_to(max: u64, too_long: &str, text: &str) -> Result<Self, String> {
        let Some(millis) = in_millis(text) else {
            return Err(format!(
                "{text:?} is not a duration: a whole number and its unit, `ms`, `s`, `m` or `h`, such as \"250ms\""
            ));
        };
        match millis {
            0 => Err("a call with no time at all can't be answered".into()),
            millis if millis <= max => Ok(Self(millis)),
            _ => Err(format!("{text:?} is too long: {too_long}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_runtime() {
        assert_eq!(
            u128::from(MAX),
            replybus::limits::CALL_TIMEOUT_MAX.as_millis()
        );
        assert_eq!(
            u128::from(JOB_MAX),
            replybus::limits::JOB_TIMEOUT_MAX.as_millis()
        );
    }

    #[test]
    fn a_job_has_a_week() {
        assert_eq!(Millis::of_job("4h"), Ok(Millis(4 * 3_600_000)));
        assert_eq!(Millis::of_job("168h"), Ok(Millis(JOB_MAX)));
        for text in ["169h", "604800001ms", "0h", "4d", "4"] {
            assert!(Millis::of_job(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn reads_every_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("2s", 2000),
            ("1m", 60_000),
            ("20m", MAX),
            ("007s", 7000),
            ("0020m", MAX),
        ] {
            assert_eq!(text.parse(), Ok(Millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "2",
            "s",
            "2 s",
            " 2s",
            "2s ",
            "+2s",
            "-2s",
            "1.5s",
            "2h",
            "2S",
            "2sec",
            "٢s",
            "0ms",
            "0m",
            "21m",
            "1200001ms",
            "99999999999999999999s",
            "18446744073709551615m",
        ] {
            assert!(text.parse::<Millis>().is_err(), "{text:?}");
        }
    }
}
