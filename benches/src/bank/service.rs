//! One process of the bank under measurement.

use bank::{ServeSettings, ServiceName, serve};
use clap::Parser;
use std::process::ExitCode;

/// What this program is started again with.
#[derive(Debug, Parser)]
pub struct Service {
    /// Which, after the word `serve`
    #[arg(required = true)]
    services: Vec<ServiceName>,
    #[command(flatten)]
    settings: ServeSettings,
}

/// Serves until the process is killed.
pub async fn run(service: Service) -> ExitCode {
    let Service { services, settings } = service;
    let platform = settings.platform.clone();
    chassis::run("bank", platform, async |platform| {
        let bank = serve::start(platform, &settings, &services).await?;
        Ok(bank.running)
    })
    .await
}
