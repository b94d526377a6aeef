//! `bank`: the bank in one process, its keys, customers for it, and what its services gave up.

#![allow(clippy::print_stdout, reason = "a program speaks to who runs it")]

use bank::{
    ServeSettings, ServiceName,
    demo::{self, DemoSettings},
    letters::{self, LettersSettings},
    serve,
};
use chassis::{keys::Keys, report, telemetry};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};

/// A bank of five services that call each other over queues.
///
/// Alone it runs all of them in this process, and needs no server.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Program {
    #[command(flatten)]
    serve: ServeSettings,

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
        settings: ServeSettings,
    },
    /// Send customers to a bank, and tell what happened
    Demo(DemoSettings),
    /// Show what a service gave up, put it back or throw it away
    Letters(LettersSettings),
    /// Write new keys into a directory, for services in processes of their own
    Keys {
        /// The directory; made if it is missing
        directory: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let program = program();
    match program.command {
        None => run(program.serve, Vec::new()).await,
        Some(Command::Serve { services, settings }) => run(settings, services).await,
        Some(Command::Demo(settings)) => exit(demo::run(settings).await),
        Some(Command::Letters(settings)) => exit(letters::run(settings).await),
        Some(Command::Keys { directory }) => exit(Keys::write_new(&directory)),
    }
}

/// The arguments, read. What the environment says about settings that are not needed is not
/// looked at: those of the bank alone if there is a subcommand, and those of the bank that a demo
/// starts if it visits one.
fn program() -> Program {
    let without_environment =
        |command: clap::Command| command.mut_args(|argument| argument.env(None::<&str>));
    let mut command = Program::command();
    let mut arguments = env::args_os().skip(1);
    let first = arguments.next().unwrap_or_default();
    if command.find_subcommand(&first).is_some() {
        command = without_environment(command);
    }
    let visits = |argument: OsString| argument.as_encoded_bytes().starts_with(b"--url");
    if first == "demo" && arguments.any(visits) {
        command = command.mut_subcommand("demo", without_environment);
    }
    let asked = Program::from_arg_matches(&command.clone().get_matches());
    asked.unwrap_or_else(|error| error.format(&mut command).exit())
}

async fn run(mut settings: ServeSettings, services: Vec<ServiceName>) -> ExitCode {
    let all = || ServiceName::value_variants().to_vec();
    let services = if services.is_empty() { all() } else { services };
    telemetry::init(settings.platform.log_format);
    if let Err(error) = settings.settle(&services) {
        return chassis::refuse("bank", settings.platform.log_format, &error);
    }
    let platform = settings.platform.clone();
    chassis::run("bank", platform, async |platform| {
        let bank = serve::start(platform, &settings, &services).await?;
        if let Some(address) = bank.http_addr {
            println!("listening on http://{address}");
        }
        Ok(bank.running)
    })
    .await
}

fn exit(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::init_quiet();
            tracing::error!("{}", report(&error));
            ExitCode::FAILURE
        }
    }
}
