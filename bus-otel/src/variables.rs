//! What the environment says, by the names that OpenTelemetry gives it.

use crate::{OtlpError, Sampler};

/// Where variables are read.
pub(crate) type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The settings that we read ourselves. The exporter reads its headers, its timeout and its queue, and
/// the resource what it is of.
#[derive(Debug, PartialEq)]
pub(crate) struct Variables {
    /// Where traces go; none if they are not to be exported.
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) sampler: Sampler,
}

/// The address of a collector.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Of all that it takes, without a path for each.
    Collector(String),
    /// Of traces alone.
    Traces(String),
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOLS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const RATIO: &str = "OTEL_TRACES_SAMPLER_ARG";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";

impl Variables {
    pub(crate) fn read(read: Read<'_>) -> Result<Self, OtlpError> {
        // One that is empty is not set.
        let read = |name: &str| read(name).filter(|value| !value.trim().is_empty());
        let disabled = read("OTEL_SDK_DISABLED");
        let is_disabled = disabled.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let exports = match read(EXPORTER).as_deref() {
            None | Some("otlp") => true,
            Some("none") => false,
            Some(_) => return Err(wrong(EXPORTER, "otlp or none is expected")),
        };
        let endpoint = read(TRACES_ENDPOINT)
            .map(Endpoint::Traces)
            .or_else(|| read(ENDPOINT).map(Endpoint::Collector))
            .filter(|_| exports && !is_disabled);
        if endpoint.is_some() {
            for name in PROTOCOLS {
                if read(name).is_some_and(|protocol| protocol != "http/protobuf") {
                    return Err(wrong(name, "http/protobuf is expected"));
                }
            }
        }
        Ok(Self {
            endpoint,
            sampler: sampler(&read)?,
        })
    }
}

fn sampler(read: &dyn Fn(&str) -> Option<String>) -> Result<Sampler, OtlpError> {
    let Some(name) = read(SAMPLER) else {
        return Ok(Sampler::default());
    };
    let ratio = match read(RATIO).filter(|_| name.ends_with("traceidratio")) {
        None => 1.0,
        Some(text) => {
            let ratio: Option<f64> = text.trim().parse().ok();
            let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio));
            ratio.ok_or(wrong(RATIO, "a number from 0 to 1 is expected"))?
        }
    };
    Sampler::named(name.trim(), ratio).ok_or(wrong(
        SAMPLER,
        "always_on, always_off, traceidratio, or one of these behind parentbased_ is expected",
    ))
}

fn wrong(variable: &'static str, allowed: &'static str) -> OtlpError {
    OtlpError::Variable { variable, allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Variables, String> {
        let find = |name: &str| {
            let found = given.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Variables::read(&find).map_err(|error| error.to_string())
    }

    #[test]
    fn the_endpoint_of_traces_comes_before_that_of_all() {
        let all = (ENDPOINT, "http://collector:4318/");
        for (given, expected) in [
            (vec![], None),
            (vec![(ENDPOINT, " ")], None),
            (
                vec![all],
                Some(Endpoint::Collector("http://collector:4318/".to_owned())),
            ),
            (
                vec![all, (TRACES_ENDPOINT, "http://own/t")],
                Some(Endpoint::Traces("http://own/t".to_owned())),
            ),
            (vec![all, ("OTEL_SDK_DISABLED", "TRUE")], None),
            (vec![all, (EXPORTER, "none")], None),
        ] {
            let endpoint = read(&given).unwrap().endpoint;
            assert_eq!(endpoint, expected, "{given:?}");
        }
    }

    #[test]
    fn a_sampler_is_read_with_its_ratio() {
        let sampler = |given: &[(&str, &str)]| read(given).map(|read| read.sampler);
        assert_eq!(sampler(&[]), Ok(Sampler::ParentAlwaysOn));
        let ratio = (SAMPLER, "parentbased_traceidratio");
        assert_eq!(sampler(&[ratio]), Ok(Sampler::ParentRatio(1.0)));
        assert_eq!(
            sampler(&[ratio, (RATIO, "0.25")]),
            Ok(Sampler::ParentRatio(0.25))
        );
        assert_eq!(
            sampler(&[(SAMPLER, "always_off"), (RATIO, "of no meaning")]),
            Ok(Sampler::AlwaysOff)
        );
        for ratio_text in ["-1", "1.5", "NaN", "half"] {
            let refused = sampler(&[ratio, (RATIO, ratio_text)]).unwrap_err();
            assert_eq!(
                refused,
                "OTEL_TRACES_SAMPLER_ARG: a number from 0 to 1 is expected"
            );
        }
        assert!(
            sampler(&[(SAMPLER, "xray")])
                .unwrap_err()
                .starts_with(SAMPLER)
        );
    }

    #[test]
    fn what_is_not_spoken_is_refused_by_its_name() {
        let all = (ENDPOINT, "http://collector:4317");
        for name in PROTOCOLS {
            let refused = read(&[all, (name, "grpc")]).unwrap_err();
            assert_eq!(refused, format!("{name}: http/protobuf is expected"));
        }
        assert!(read(&[all, (EXPORTER, "zipkin")]).is_err());
    }
}
