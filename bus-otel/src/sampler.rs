//! Which traces are recorded.

use replybus::context::TraceContext;

/// Which traces are recorded, by the names of `OTEL_TRACES_SAMPLER`.
///
/// A trace that was begun elsewhere has been decided on, and its `traceparent` says how: those that
/// begin with `Parent` heed it. So every span of a trace is recorded, or none is.
///
/// ```
/// use replybus_otel::{Otlp, Sampler};
///
/// // One in a hundred of the traces that begin here.
/// let otlp = Otlp::to("account-service", "http://localhost:4318")?;
/// let otlp = otlp.sampler(Sampler::ParentRatio(0.01));
/// # drop(otlp);
/// # Ok::<(), replybus_otel::OtlpError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Sampler {
    /// `always_on`: all, whatever was decided elsewhere.
    AlwaysOn,
    /// `always_off`: none.
    AlwaysOff,
    /// `traceidratio`: this part of all, by their ids.
    Ratio(f64),
    /// `parentbased_always_on`: all that begin here.
    #[default]
    ParentAlwaysOn,
    /// `parentbased_always_off`: none that begin here.
    ParentAlwaysOff,
    /// `parentbased_traceidratio`: this part of those that begin here.
    ParentRatio(f64),
}

/// The bits of a trace's id that are random whoever began it. Ids of calls begin with the time and a
/// counter, and these are the rest.
const RANDOM: u128 = 0xffff_ffff;

impl Sampler {
    /// `true` if a span of this trace is recorded.
    pub(crate) fn samples(self, trace_id: u128, parent: Option<&TraceContext>) -> bool {
        let decided = parent.map(TraceContext::is_sampled);
        match self {
            Self::AlwaysOn => true,
            Self::AlwaysOff => false,
            Self::Ratio(ratio) => is_among(ratio, trace_id),
            Self::ParentAlwaysOn => decided.unwrap_or(true),
            Self::ParentAlwaysOff => decided.unwrap_or(false),
            Self::ParentRatio(ratio) => decided.unwrap_or_else(|| is_among(ratio, trace_id)),
        }
    }

    /// `true` if others heed what is decided here about a trace, and nobody has decided before.
    pub(crate) fn decides_for_others(self, parent: Option<&TraceContext>) -> bool {
        match self {
            Self::AlwaysOn | Self::AlwaysOff | Self::Ratio(_) => false,
            Self::ParentAlwaysOn | Self::ParentAlwaysOff | Self::ParentRatio(_) => parent.is_none(),
        }
    }

    /// The sampler of this name.
    pub(crate) fn named(name: &str, ratio: f64) -> Option<Self> {
        Some(match name {
            "always_on" => Self::AlwaysOn,
            "always_off" => Self::AlwaysOff,
            "traceidratio" => Self::Ratio(ratio),
            "parentbased_always_on" => Self::ParentAlwaysOn,
            "parentbased_always_off" => Self::ParentAlwaysOff,
            "parentbased_traceidratio" => Self::ParentRatio(ratio),
            _ => return None,
        })
    }
}

/// `true` of this part of all ids, the same ones in every program.
fn is_among(ratio: f64, trace_id: u128) -> bool {
    // They are exact as a float, and fine enough for any ratio.
    let random = u32::try_from(trace_id & RANDOM).unwrap_or(u32::MAX);
    f64::from(random) < ratio * (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use replybus::CallId;

    fn sampled(sampler: Sampler, ids: &[u128]) -> usize {
        let is_sampled = |id: &&u128| sampler.samples(**id, None);
        ids.iter().filter(is_sampled).count()
    }

    #[test]
    fn a_ratio_is_that_part_of_the_traces_that_calls_begin() {
        let id = |_| u128::from_be_bytes(*CallId::new().as_bytes());
        let ids: Vec<u128> = (0..10_000).map(id).collect();
        assert_eq!(sampled(Sampler::Ratio(0.0), &ids), 0);
        assert_eq!(sampled(Sampler::Ratio(1.0), &ids), ids.len());
        // Ten standard deviations.
        let tenth = sampled(Sampler::ParentRatio(0.1), &ids);
        assert!((700..1_300).contains(&tenth), "{tenth}");
        // What one program records of a trace, all do.
        let half = |ids: &[u128]| sampled(Sampler::Ratio(0.5), ids);
        assert_eq!(half(&ids), half(&ids));
    }

    #[test]
    fn what_was_decided_elsewhere_is_heeded_by_those_that_ask_for_it() {
        let header = |flag| format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0{flag}");
        let parent = |flag| TraceContext::parse(&header(flag), None).unwrap();
        let (on, off) = (parent(1), parent(0));
        for (name, expected) in [
            ("always_on", [true, true]),
            ("always_off", [false, false]),
            ("traceidratio", [false, false]),
            ("parentbased_always_on", [true, false]),
            ("parentbased_always_off", [true, false]),
            ("parentbased_traceidratio", [true, false]),
        ] {
            let sampler = Sampler::named(name, 0.0).unwrap();
            let decided = [&on, &off].map(|parent| sampler.samples(1, Some(parent)));
            assert_eq!(decided, expected, "{name}");
        }
        assert_eq!(Sampler::named("jaeger_remote", 1.0), None);
    }
}
