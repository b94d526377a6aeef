//! Log lines on stderr.

use crate::settings::LogFormat;
use std::io::IsTerminal as _;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// The filter of the log unless `RUST_LOG` says otherwise.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::{Context, Layer};

    /// Notes the targets of the lines that get through.
    struct Ear(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Ear {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            let line = event.metadata();
            let line = format!("{} {}", line.target(), line.level());
            self.0.lock().unwrap().push(line);
        }
    }

    #[test]
    fn no_level_lets_a_body_through() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let everything = tracing_subscriber::registry()
            .with(EnvFilter::new("trace"))
            .with(filter_fn(tells_no_body))
            .with(Ear(Arc::clone(&heard)));
        tracing::subscriber::with_default(everything, || {
            tracing::warn!(target: "lapin::returned_messages", "a body");
            tracing::trace!(target: "lapin::channels", "a frame");
            tracing::warn!(target: "lapin::channels", "a closed channel");
            tracing::trace!(target: "bank", "a detail");
        });
        let heard = heard.lock().unwrap();
        assert_eq!(*heard, ["lapin::channels WARN", "bank TRACE"]);
    }
}
