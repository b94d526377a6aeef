//! Log lines on stderr.

use crate::settings::LogFormat;
use std::io::IsTerminal as _;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT: &str = "info,sqlx=warn,lapin=warn";
/// The same, of a program that itself tells people what goes well.
const QUIET: &str = "warn";

/// Begins to log. Once for a process; a second time it does nothing.
pub fn init(format: LogFormat) {
    begin(format, DEFAULT);
}

/// Begins to log for people, and only what does not go well. Otherwise as [`init`].
pub fn init_quiet() {
    begin(LogFormat::Text, QUIET);
}

fn begin(format: LogFormat, default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(tells_no_body));
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

/// Holds whatever `RUST_LOG` says: lapin writes returned messages, and at the finest level every
/// frame.
fn tells_no_body(line: &Metadata<'_>) -> bool {
    let target = line.target();
    !target.starts_with("lapin")
        || (target != "lapin::returned_messages" && *line.level() != Level::TRACE)
}
