//! `shop`: the shop in one process, or one of its services, and its keys.

#![allow(clippy::print_stdout, reason = "a program speaks to who runs it")]

use chassis::{report, settings::LogFormat, shutdown_signal, telemetry};
use clap::{Parser, Subcommand, ValueEnum as _};
use shop::{Keys, Platform, ServiceName, Settings, Shop};
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// At the end, time for what was published to be confirmed.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// A shop of four services that call each other over queues.
///
/// Alone it runs all of them in this process, and needs no server.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Program {
    #[command(flatten)]
    settings: Settings,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run services, all of them unless some are named
    Serve {
        /// Which
        services: Vec<ServiceName>,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Write new keys into a directory, for services in processes of their own
    Keys {
        /// The directory; made if it is missing
        directory: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let program = Program::parse();
    telemetry::init(LogFormat::Text);
    let ended = match program.command {
        None => run(program.settings, Vec::new()).await,
        Some(Command::Serve { services, settings }) => run(*settings, services).await,
        Some(Command::Keys { directory }) => Keys::write_new(&directory),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", report(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings, mut services: Vec<ServiceName>) -> anyhow::Result<()> {
    if services.is_empty() {
        services = ServiceName::value_variants().to_vec();
    }
    settings.check(&services)?;
    let _ = chassis::metrics_text();
    let platform = Platform::connect(settings).await?;
    let shop = Shop::start(&platform, &services).await?;
    for (name, address) in &shop.addresses {
        println!("{name}: http://{address}");
    }
    shutdown_signal().await?;
    shop.running.stop().await;
    platform.bus.close(CLOSE_WITHIN).await;
    Ok(())
}
