//! Where traces go, and the tracer that brings them there.

use crate::{
    OtlpError, Sampler,
    exported::exported,
    exporting::Exporting,
    pace::{Pace, TRACES_PER_SECOND},
    variables::{Endpoint, Variables},
};
use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchSpanProcessor, SpanProcessor},
};
use replybus::{
    context::TraceContext,
    trace::{self, FinishedSpan, Tracer},
};
use std::{
    env, fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use url::Url;

/// What was not exported when a program ends is waited for so long.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(5);

/// The variable that names the service, before what the program says.
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// An export of traces that is about to begin.
#[derive(Clone)]
#[must_use = "nothing is exported before it is installed"]
pub struct Otlp {
    service: String,
    /// The address for traces; none if nothing is exported.
    endpoint: Option<Url>,
    sampler: Sampler,
    traces_per_second: u32,
}

impl Otlp {
    /// What the [variables of the environment](crate) say, of a service of this name unless they have
    /// another one. Without an endpoint it is off.
    ///
    /// # Errors
    /// A variable has a value that is none of those allowed, or names a protocol that is not spoken;
    /// the address is none.
    pub fn from_env(service: impl Into<String>) -> Result<Self, OtlpError> {
        let variables = Variables::read(&|name| env::var(name).ok())?;
        let endpoint = match variables.endpoint {
            None => None,
            Some(Endpoint::Collector(base)) => Some(traces_at(&base)?),
            Some(Endpoint::Traces(own)) => Some(checked(&own)?),
        };
        let named = env::var(SERVICE_NAME).ok().filter(|name| !name.is_empty());
        Ok(Self {
            service: named.unwrap_or_else(|| service.into()),
            endpoint,
            sampler: variables.sampler,
            traces_per_second: TRACES_PER_SECOND,
        })
    }

    /// An export to the collector at this address, such as `http://localhost:4318`, of a service of
    /// this name.
    ///
    /// # Errors
    /// The address is none, or holds a password.
    pub fn to(service: impl Into<String>, endpoint: &str) -> Result<Self, OtlpError> {
        Ok(Self {
            service: service.into(),
            endpoint: Some(traces_at(endpoint)?),
            sampler: Sampler::default(),
            traces_per_second: TRACES_PER_SECOND,
        })
    }

    /// Sets which traces are recorded.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.sampler = sampler;
        self
    }

    /// Sets how many of the traces that begin in this process are recorded in a second, at most: 500
    /// unless set. It bounds what they cost, and what is recorded is whole: whoever continues a trace
    /// heeds what was decided where it began. Of the samplers that heed nobody
    /// ([`AlwaysOn`](Sampler::AlwaysOn), [`Ratio`](Sampler::Ratio)) it bounds nothing.
    pub fn traces_per_second(mut self, traces: u32) -> Self {
        self.traces_per_second = traces;
        self
    }

    /// `true` if there is somewhere to export to.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.endpoint.is_some()
    }

    /// Begins to export, if it is on. Once for a process, and before the bus is connected: what is
    /// done before is not recorded. The collector need not be there.
    ///
    /// # Errors
    /// Another tracer is [installed](replybus::trace::install), or the exporter can't be made.
    pub fn install(self) -> Result<Telemetry, OtlpError> {
        let Some(endpoint) = &self.endpoint else {
            return Ok(Telemetry(None));
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(endpoint.as_str())
            .build()
            .map_err(|error| OtlpError::Exporter {
                reason: error.to_string(),
            })?;
        let mut processor = BatchSpanProcessor::builder(Exporting::new(exporter)).build();
        let resource = Resource::builder().with_service_name(self.service);
        processor.set_resource(&resource.build());
        let processor = Arc::new(processor);
        trace::install(Exports {
            sampler: self.sampler,
            pace: Pace::new(self.traces_per_second),
            scope: InstrumentationScope::builder("replybus")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            processor: Arc::clone(&processor),
        })?;
        Ok(Telemetry(Some(processor)))
    }
}

/// The address of traces at that of a collector.
fn traces_at(collector: &str) -> Result<Url, OtlpError> {
    let mut url = checked(collector)?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["v1", "traces"]);
    }
    Ok(url)
}

/// An address that traces can be sent to.
fn checked(endpoint: &str) -> Result<Url, OtlpError> {
    let wrong = |reason| OtlpError::Endpoint { reason };
    let url = Url::parse(endpoint).map_err(|_| wrong("http://host:port is expected"))?;
    match url.scheme() {
        "http" => {}
        "https" => {
            return Err(wrong(
                "https:// is not spoken: a collector beside the program speaks it to others",
            ));
        }
        _ => return Err(wrong("http:// is expected")),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("it names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "it is no place for a password: OTEL_EXPORTER_OTLP_HEADERS is",
        ));
    }
    Ok(url)
}

/// The tracer of the process.
struct Exports {
    sampler: Sampler,
    pace: Pace,
    scope: InstrumentationScope,
    processor: Arc<BatchSpanProcessor>,
}

impl Tracer for Exports {
    fn samples(&self, trace_id: u128, parent: Option<&TraceContext>) -> bool {
        self.sampler.samples(trace_id, parent)
            && (!self.sampler.decides_for_others(parent) || self.pace.admits(Instant::now()))
    }

    fn ended(&self, span: FinishedSpan) {
        // Into a queue; what finds it full is dropped.
        self.processor.on_end(exported(span, &self.scope));
    }
}

/// The export of traces that goes on. Dropped, or [shut down](Self::shutdown), it ends.
#[must_use = "dropped, the export ends"]
pub struct Telemetry(Option<Arc<BatchSpanProcessor>>);

impl Telemetry {
    /// `true` if something is exported.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Exports what has ended up to now, and waits until it was sent.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it is exported all the same.
    pub async fn flush(&self) {
        if let Some(processor) = self.0.clone() {
            elsewhere(move || {
                // What could not be sent was told of.
                let _ = processor.force_flush();
            })
            .await;
        }
    }

    /// Exports what is left, for 5 s at most, and ends the export. What ends afterwards is dropped.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it goes on in the background.
    pub async fn shutdown(mut self) {
        if let Some(processor) = self.0.take() {
            elsewhere(move || end(&processor)).await;
        }
    }
}

/// Waits without holding up the tasks of this thread: the collector may be one of them.
async fn elsewhere(wait: impl FnOnce() + Send + 'static) {
    // It does not panic; if the runtime ends it, there is nobody to wait for it.
    let _ = tokio::task::spawn_blocking(wait).await;
}

fn end(processor: &BatchSpanProcessor) {
    if let Err(error) = processor.shutdown_with_timeout(SHUTDOWN_WITHIN) {
        tracing::debug!(%error, "the export of traces did not end in time");
    }
}

/// What is left is exported, for 5 s at most, in which this thread is held up.
impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(processor) = self.0.take() {
            end(&processor);
        }
    }
}

// Without the address: its query may hold a token.
impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp")
            .field("service", &self.service)
            .field("is_on", &self.is_on())
            .field("sampler", &self.sampler)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("is_on", &self.is_on())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_can_not_be_used_is_refused_and_not_repeated() {
        for wrong in [
            "",
            "collector:4318",
            "localhost",
            "ftp://collector",
            "https://collector",
            "http://",
            "http://user:s3cret@collector:4318",
        ] {
            let refused = Otlp::to("test", wrong).unwrap_err().to_string();
            assert!(
                !refused.contains("s3cret") && !refused.contains("4318"),
                "{refused}"
            );
        }
        for (collector, traces) in [
            ("http://gate:4318", "http://gate:4318/v1/traces"),
            ("http://gate:4318/", "http://gate:4318/v1/traces"),
            ("http://gate/otlp", "http://gate/otlp/v1/traces"),
        ] {
            let otlp = Otlp::to("test", collector).unwrap();
            assert_eq!(otlp.endpoint.unwrap().as_str(), traces);
        }
    }
}
