//! Traces and metrics of a process that measures, as a program has them in production.

use anyhow::{Context, Result};
use metrics_exporter_prometheus::PrometheusBuilder;
use replybus_otel::{Otlp, Sampler, Telemetry};
use replybus_testkit::collector::Collector;
use std::{sync::mpsc, thread};
use tokio::runtime;

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

/// Exports this share of the traces of this process to a collector, and counts its metrics. The export
/// ends with the process.
///
/// # Errors
/// Something of the kind is installed already, or the address is none.
pub fn export(collector: &str, share: f64) -> Result<Telemetry> {
    PrometheusBuilder::new().install_recorder()?;
    let traces = Otlp::to("bench", collector)?;
    Ok(traces.sampler(Sampler::ParentRatio(share)).install()?)
}
