//! Log lines on stderr.

use crate::settings::LogFormat;
use std::io::IsTerminal as _;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// What is logged unless `RUST_LOG` says otherwise. lapin writes the bodies of returned messages,
/// passwords included.
const DEFAULT: &str = "info,sqlx=warn,lapin=warn,lapin::returned_messages=off";

/// Begins to log. Once for a process; a second time it does nothing.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(DEFAULT))
        .add_directive(filter_out_bodies());
    let registry = tracing_subscriber::registry().with(filter);
    // The error says that it was set up before.
    let _ = match format {
        LogFormat::Json => registry
            .with(fmt::layer().json().with_writer(std::io::stderr))
            .try_init(),
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
}

/// Holds even if `RUST_LOG` turns lapin up.
fn filter_out_bodies() -> tracing_subscriber::filter::Directive {
    "lapin::returned_messages=off".parse().unwrap_or_default()
}
