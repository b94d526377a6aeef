//! The exporter, and what the log is told of it.

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// While spans are lost the log is told this often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// An exporter whose failures are no news while they last.
#[derive(Debug)]
pub(crate) struct Exporting<E> {
    exporter: E,
    losses: Mutex<Losses>,
}

#[derive(Debug, Default)]
struct Losses {
    /// Spans that were lost and are not told of.
    untold: usize,
    told_at: Option<Instant>,
}

impl<E> Exporting<E> {
    pub(crate) fn new(exporter: E) -> Self {
        Self {
            exporter,
            losses: Mutex::default(),
        }
    }

    fn failed(&self, spans: usize, reason: &str) {
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        losses.untold += spans;
        let is_news = losses.told_at.is_none_or(|at| at.elapsed() >= TOLD_EVERY);
        if is_news {
            losses.told_at = Some(Instant::now());
            let lost = std::mem::take(&mut losses.untold);
            tracing::warn!(lost, reason, "spans were not exported");
        }
    }

    fn succeeded(&self) {
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        if losses.told_at.take().is_some() {
            let lost = std::mem::take(&mut losses.untold);
            tracing::info!(lost, "spans are exported again");
        }
    }
}

impl<E: SpanExporter> SpanExporter for Exporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        match self.exporter.export(batch).await {
            Ok(()) => self.succeeded(),
            Err(error) => self.failed(spans, &error.to_string()),
        }
        // Told here, and to nobody else.
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
