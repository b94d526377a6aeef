//! A program around a service: starts it, waits to be told to stop, stops it.

use crate::{
    Platform, Running, probe,
    settings::{LogFormat, PlatformSettings},
    telemetry,
};
use anyhow::Context as _;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser};
use replybus_otel::Otlp;
use std::{fmt::Write as _, process::ExitCode, time::Duration};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

/// At the end, time for what was published to be confirmed and for what is waited for to be
/// answered.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Settings of a service that is alone in its process: those of all services, and its own.
#[derive(Debug, Parser)]
#[command(version)]
struct Standalone<S: Args> {
    #[command(flatten)]
    platform: PlatformSettings,
    #[command(flatten)]
    own: S,
}

/// The whole program of the service `name`, alone in its process: reads its settings, those that
/// are its own as `S` (`()` if there are none), and [`run`]s it. Its help says what it is, `about`.
/// Settings with which it could not be reached, or would forget the data that it keeps, are refused
/// before anything is connected.
#[must_use]
pub fn run_standalone<S: Args>(
    name: &'static str,
    about: &'static str,
    keeps_data: bool,
    start: impl AsyncFnOnce(&Platform, S) -> anyhow::Result<Running>,
) -> ExitCode {
    let mut command = Standalone::<S>::command().name(name).about(about);
    let read = Standalone::<S>::from_arg_matches(&command.clone().get_matches());
    let Standalone { platform, own } =
        read.unwrap_or_else(|error| error.format(&mut command).exit());
    if let Err(reason) = platform.check_standalone(keeps_data) {
        return refuse(name, platform.log_format, &reason);
    }
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(run(name, platform, async |on| start(on, own).await)),
        Err(error) => refuse(name, platform.log_format, &error.into()),
    }
}

/// Says why the program `name` does not start, or has ended.
#[must_use]
pub fn refuse(name: &str, format: LogFormat, reason: &anyhow::Error) -> ExitCode {
    telemetry::init(format);
    tracing::error!("{name}: {}", report(reason));
    ExitCode::FAILURE
}

/// Runs the program `name` until it is told to stop (SIGTERM or SIGINT), and drains. A second
/// signal ends it at once. Traces are exported if `OTEL_EXPORTER_OTLP_ENDPOINT` says where to.
///
/// # Cancel safety
/// Not to be dropped before it is ready: what `start` began would go on.
pub async fn run(
    name: &str,
    settings: PlatformSettings,
    start: impl AsyncFnOnce(&Platform) -> anyhow::Result<Running>,
) -> ExitCode {
    let format = settings.log_format;
    telemetry::init(format);
    let traces = match Otlp::from_env(name).and_then(Otlp::install) {
        Ok(traces) => traces,
        Err(error) => return refuse(name, format, &error.into()),
    };
    let ended = run_to_the_end(name, settings, start).await;
    traces.shutdown().await;
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(name, format, &error),
    }
}

async fn run_to_the_end(
    name: &str,
    settings: PlatformSettings,
    start: impl AsyncFnOnce(&Platform) -> anyhow::Result<Running>,
) -> anyhow::Result<()> {
    let _ = probe::metrics_text();
    tokio::spawn(probe::upkeep());
    let probes = match settings.probe_addr {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .with_context(|| format!("can't listen for probes on {address}"))?,
        ),
        None => None,
    };
    let platform = Platform::connect(name, settings).await?;
    let (mut running, stage) = (Running::new(), probe::Stage::default());
    if let Some(listener) = probes {
        let (platform, stage) = (platform.clone(), stage.clone());
        running = running.beside(|stop| async move {
            let served = probe::serve(listener, platform, stage, stop.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(%error, "there are no probes any longer");
            }
        });
    }
    running = running.with(start(&platform).await?);
    stage.start();
    tracing::info!("{name} is serving");
    shutdown_signal()
        .await
        .context("can't listen for signals")?;
    stage.drain();
    tracing::info!("{name} is stopping; once more to end it at once");
    tokio::select! {
        () = async {
            running.stop().await;
            platform.bus.close(CLOSE_WITHIN).await;
        } => Ok(()),
        ended = shutdown_signal() => {
            ended?;
            anyhow::bail!("ended before it had stopped")
        }
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// The operating system gives no signals.
///
/// # Cancel safety
/// Safe; a signal that comes while nobody waits is not remembered.
pub async fn shutdown_signal() -> std::io::Result<()> {
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// An error and its sources in one line, each once.
#[must_use]
pub fn report(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !line.ends_with(&cause) {
            let separator = if line.is_empty() { "" } else { ": " };
            // A string takes all that is written to it.
            let _ = write!(line, "{separator}{cause}");
        }
    }
    line
}
