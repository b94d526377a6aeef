//! Traces of [replybus](https://docs.rs/replybus) by OpenTelemetry's protocol, OTLP over HTTP.
//!
//! One line at the beginning of a program exports the spans of all its buses, and those that it
//! [begins](replybus::trace::Span::begin) itself:
//!
//! ```no_run
//! # async fn serve() {}
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let telemetry = replybus_otel::Otlp::from_env("account-service")?.install()?;
//!     serve().await;
//!     telemetry.shutdown().await; // what is left is exported, for 5 s at most
//!     Ok(())
//! }
//! ```
//!
//! It reads the variables that OpenTelemetry has for it; without an endpoint nothing is recorded and
//! nothing is paid for. It speaks HTTP without encryption: a collector beside the program, which
//! OpenTelemetry recommends, speaks to others.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | the collector, such as `http://localhost:4318` | none: off |
//! | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | the same, with the path of traces | the above and `/v1/traces` |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL`, `.._TRACES_PROTOCOL` | `http/protobuf`, and nothing else | |
//! | `OTEL_EXPORTER_OTLP_HEADERS`, `.._TRACES_HEADERS` | headers of the export, such as a token | none |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT`, `.._TRACES_TIMEOUT` | milliseconds for an export | 10,000 |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | who it is of | the name given |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | [which traces](Sampler) | `parentbased_always_on` |
//! | `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_SCHEDULE_DELAY`, .. | spans that wait, and for how long | 2,048, 5,000 ms |
//! | `OTEL_SDK_DISABLED=true`, `OTEL_TRACES_EXPORTER=none` | off | |
//!
//! Of the traces that begin in a program 500 are recorded in a second, by the samplers whose
//! decision others heed (`parentbased_..`): [`Otlp::traces_per_second`] sets it.
//!
//! Nothing waits for the collector. Spans go into a queue, from which a thread exports them; what
//! does not fit is dropped. While the collector is away the log is told once a minute, with the
//! number of spans that were lost.

mod error;
mod exported;
mod exporting;
mod otlp;
mod pace;
mod sampler;
mod variables;

pub use error::OtlpError;
pub use otlp::{Otlp, Telemetry};
pub use sampler::Sampler;
