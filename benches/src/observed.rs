//! Traces and metrics of a process that measures, as a program has them in production.

use anyhow::{Context, Result};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use replybus_otel::{Otlp, Sampler, Telemetry};
use replybus_testkit::collector::Collector;
use std::{fmt, num::ParseFloatError, str::FromStr, sync::mpsc, thread, time::Duration};
use tokio::runtime;

/// The bounds of a histogram, in seconds, and how often it is tidied: as the bank has it.
const BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What is told of a process that measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Observed {
    /// Its metrics.
    Metrics,
    /// These, and so many of its traces, of 1.
    Traces(f64),
}

impl FromStr for Observed {
    type Err = ParseFloatError;

    fn from_str(text: &str) -> Result<Self, ParseFloatError> {
        match text {
            "metrics" => Ok(Self::Metrics),
            share => share.parse().map(Self::Traces),
        }
    }
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metrics => f.write_str("metrics"),
            Self::Traces(share) => share.fmt(f),
        }
    }
}

/// Starts a collector in a thread of its own, for as long as the process runs, and says where it is.
///
/// # Errors
/// There is no port, or no thread.
pub fn collect() -> Result<String> {
    let (said, heard) = mpsc::channel();
    let collecting = move || -> Result<()> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let collector = Collector::start().await?;
            said.send(collector.endpoint())?;
            std::future::pending().await
        })
    };
    thread::Builder::new()
        .name("collector".to_owned())
        .spawn(collecting)?;
    heard.recv().context("the collector did not start")
}

/// Counts the metrics of this process, and exports its traces to a collector, as far as they are
/// told. The export ends with the process.
///
/// # Errors
/// Something of the kind is installed already, the address is none, or there is no thread.
pub fn export(collector: &str, told: Observed) -> Result<Option<Telemetry>> {
    let metrics = PrometheusBuilder::new()
        .set_buckets(&BUCKETS)?
        .install_recorder()?;
    thread::Builder::new()
        .name("upkeep".to_owned())
        .spawn(move || keep_up(&metrics))?;
    let Observed::Traces(share) = told else {
        return Ok(None);
    };
    let traces = Otlp::to("bench", collector)?;
    Ok(Some(traces.sampler(Sampler::ParentRatio(share)).install()?))
}

fn keep_up(metrics: &PrometheusHandle) {
    loop {
        thread::sleep(UPKEEP_EVERY);
        metrics.run_upkeep();
    }
}
