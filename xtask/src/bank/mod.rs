//! The bank on real RabbitMQ, Redis and PostgreSQL.
//!
//! In its directory are
//!
//! | file | holds |
//! |---|---|
//! | `keys/` | what `bank keys` wrote |
//! | `admin-secret` | what `X-Admin-Secret` must be |
//! | `addresses` | where the gateway and the notification service listen |
//! | `SERVICE.log` | what a service says |
//! | `SERVICE.process` | its process, while it runs |
//! | `holder` | the process for which the servers are kept |

mod health;
mod service;
mod settings;

use crate::{
    interrupt, process,
    program::{cargo, target},
    services::{
        self, Origin, Server,
        state::{own_directory, temporary},
    },
};
use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;
use service::{Files, GATEWAY, NOTIFICATION, Service};
use std::{
    env, fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command as Program, Stdio},
    time::Duration,
};

/// The command line after `cargo xtask bank`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Builds the services (release), finds or starts the servers, makes keys and an
    /// administrator's secret if there are none, and waits until every service is well
    Up,
    /// Lets the services finish, and then stops the servers that `up` started
    Down,
    /// Prints how each service is
    Status,
    /// Prints the ends of logs
    Logs {
        /// Goes on with what is written from now on
        #[arg(short, long)]
        follow: bool,
        /// All of them, unless some are named
        services: Vec<String>,
    },
}

/// A service is well within this; it itself waits a minute for its database.
const START_WITHIN: Duration = Duration::from_secs(90);

fn say(message: impl fmt::Display) {
    eprintln!("bank: {message}");
}

/// Does what the command line says.
///
/// # Errors
/// It could not be done. What a failed start began has been stopped by then.
pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Up => up(),
        Command::Down => down(),
        Command::Status => {
            let files = files()?;
            print_table(&files, &addresses(&files)?)
        }
        Command::Logs { follow, services } => print_logs(*follow, services),
    }
}

/// The directory of the bank. It holds secrets.
fn files() -> anyhow::Result<Files> {
    let chosen = env::var_os("BANK_LIVE_DIR").filter(|chosen| !chosen.is_empty());
    let directory = chosen.map_or_else(|| temporary("bank-live"), PathBuf::from);
    let directory = std::path::absolute(directory)?;
    own_directory(&directory, 0o700, "BANK_LIVE_DIR")?;
    Ok(Files(directory))
}

/// Lets one `up` or `down` at a time pass.
fn lock(files: &Files) -> anyhow::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(files.0.join("lock"))?;
    file.try_lock()
        .context("another `bank up` or `bank down` is at work; wait until it has ended")?;
    Ok(file)
}

/// The addresses that the bank listens on.
struct Addresses {
    http: SocketAddr,
    ws: SocketAddr,
}

/// Those that are asked for; a bank that runs keeps its own.
fn addresses(files: &Files) -> anyhow::Result<Addresses> {
    let written = fs::read_to_string(files.0.join("addresses")).unwrap_or_default();
    let runs = files.runs(GATEWAY) || files.runs(NOTIFICATION);
    let mut written = written.split_whitespace().filter(|_| runs);
    let mut address = |variable: &str, default: &str| {
        let asked = env::var(variable).ok().filter(|asked| !asked.is_empty());
        let text = written.next().map(str::to_owned).or(asked);
        let text = text.unwrap_or_else(|| default.to_owned());
        let address = text.parse().ok().filter(|it: &SocketAddr| it.port() != 0);
        address.with_context(|| {
            format!(
                "{variable} is '{text}': an IP address and a port are needed, such as {default}"
            )
        })
    };
    Ok(Addresses {
        http: address("HTTP_ADDR", "127.0.0.1:8080")?,
        ws: address("WS_ADDR", "127.0.0.1:8081")?,
    })
}

fn up() -> anyhow::Result<()> {
    adopt_rabbitmq_url()?;
    let files = files()?;
    let _lock = lock(&files)?;
    let addresses = addresses(&files)?;
    if files.first_ended().is_none() {
        say("all services run already, as they were built");
        print_table(&files, &addresses)?;
        return print_hints(&files, &addresses);
    }
    for (variable, address, service) in [
        ("HTTP_ADDR", addresses.http, GATEWAY),
        ("WS_ADDR", addresses.ws, NOTIFICATION),
    ] {
        ensure!(
            files.runs(service) || !health::is_taken(address),
            "{address} is taken by another program: stop it, or set {variable} to another address"
        );
    }
    fs::write(
        files.0.join("addresses"),
        format!("{} {}\n", addresses.http, addresses.ws),
    )?;
    let binaries = build()?;

    let this = Some(std::process::id());
    let mut started = Vec::new();
    let up = services::up(Origin::default(), &Server::NEEDED, this)
        .and_then(|()| start(&files, &addresses, &binaries, &mut started));
    // What ran before is left alone.
    let stopped = if up.is_err() {
        files.stop(&started)
    } else {
        Ok(())
    };
    let released = services::down(Origin::default(), &Server::NEEDED, this);
    up.and(stopped).and(released)?;
    print_table(&files, &addresses)?;
    print_hints(&files, &addresses)
}

/// A service reads `RABBITMQ_URL`: who has that set means the same by it as by `AMQP_URL`.
fn adopt_rabbitmq_url() -> anyhow::Result<()> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let (None, Some(url)) = (set("AMQP_URL"), set("RABBITMQ_URL")) else {
        return Ok(());
    };
    // The same program again: nothing of it has an effect yet.
    let mut again = Program::new(env::current_exe()?);
    let failed = again
        .args(env::args_os().skip(1))
        .env("AMQP_URL", url)
        .exec();
    Err(failed).context("can't start again")
}

/// Builds the services and returns the directory of their programs.
fn build() -> anyhow::Result<PathBuf> {
    say("building (release)");
    let mut build = cargo();
    build
        .args(["build", "--release", "--locked", "--bins"])
        .args(["--features", "tls", "-p", "bank"]);
    for service in Service::ALL {
        build.args(["-p", service.0]);
    }
    let checkout = crate::checkout();
    let built = build.current_dir(&checkout).stdin(Stdio::null()).status()?;
    interrupt::check()?;
    ensure!(built.success(), "the services do not build");
    Ok(checkout.join(target()).join("release"))
}

/// Starts the services that do not run, and waits until all are well. Then the servers are kept as
/// long as the gateway runs, or until `down`.
fn start(
    files: &Files,
    addresses: &Addresses,
    binaries: &Path,
    started: &mut Vec<Service>,
) -> anyhow::Result<()> {
    let settings = settings::of_services(files, addresses, binaries)?;
    for service in Service::ALL {
        if files.runs(service) {
            say(format_args!("{} runs already", service.0));
        } else {
            started.push(service);
            files.launch(service, binaries, &settings)?;
        }
    }
    await_health(files, addresses)?;
    let gateway = files.process(GATEWAY).context("the gateway has ended")?;
    services::hold(Origin::default(), gateway.id())?;
    fs::write(files.0.join("holder"), gateway.id().to_string())?;
    Ok(())
}

/// Waits until all are well, as long as all run.
fn await_health(files: &Files, addresses: &Addresses) -> anyhow::Result<()> {
    let is_well = |service: &Service| {
        health::status(addresses.http, &service.health_path()).is_ok_and(|status| status == 200)
    };
    let ill = || {
        Service::ALL
            .iter()
            .copied()
            .find(|service| !is_well(service))
    };
    process::wait_until(START_WITHIN, || {
        interrupt::check().is_err() || files.first_ended().is_some() || ill().is_none()
    });
    interrupt::check()?;
    if let Some(ended) = files.first_ended() {
        files.blame(ended, "has ended");
        bail!("the bank is not up");
    }
    if let Some(ill) = ill() {
        files.blame(ill, "is not well");
        bail!("the bank is not well within {} s", START_WITHIN.as_secs());
    }
    Ok(())
}

fn down() -> anyhow::Result<()> {
    let files = files()?;
    let _lock = lock(&files)?;
    files.stop(&[GATEWAY])?;
    files.stop(&Service::ALL)?;
    // It is not there if nothing was up.
    let _ = fs::remove_file(files.0.join("addresses"));
    let holder = files.0.join("holder");
    if let Ok(written) = fs::read_to_string(&holder) {
        services::down(
            Origin::default(),
            &Server::NEEDED,
            Some(written.trim().parse()?),
        )?;
        fs::remove_file(holder)?;
    }
    say(format_args!(
        "all services have stopped; keys and logs are kept in {}",
        files.0.display()
    ));
    Ok(())
}

fn print_table(files: &Files, addresses: &Addresses) -> anyhow::Result<()> {
    let mut all_well = true;
    for service in Service::ALL {
        let process = files.process(service);
        let status = process
            .as_ref()
            .map(|_| health::status(addresses.http, &service.health_path()));
        let health = match status {
            None => "down".to_owned(),
            Some(Ok(200)) => "well".to_owned(),
            Some(Ok(status)) => format!("not well ({status})"),
            Some(Err(_)) => "not well (no answer)".to_owned(),
        };
        all_well &= health == "well";
        let process = process.map_or_else(|| "-".to_owned(), |process| process.id().to_string());
        writeln!(
            io::stdout(),
            "{:<21} {health:<12} process {process}",
            service.0
        )?;
    }
    ensure!(all_well, "not all services are well");
    Ok(())
}

fn print_hints(files: &Files, addresses: &Addresses) -> anyhow::Result<()> {
    let url = format!("http://{}", health::callable(addresses.http));
    let ws = health::callable(addresses.ws);
    let state = files.0.display();
    write!(
        io::stdout(),
        r#"
page           {url}/
live           ws://{ws}/ws?session=.. (and through the gateway)
logs, keys     {state}
admin's secret {state}/admin-secret

  curl -s {url}/api/auth/register -H 'Content-Type: application/json' \
      -d '{{"username":"ada","password":"correct horse"}}'
  curl -s {url}/api/auth/login -H 'Content-Type: application/json' \
      -d '{{"username":"ada","password":"correct horse"}}'
  curl -s {url}/api/account/me -H "X-Session: $SESSION"
  curl -s {url}/api/account/admin/stats -H "X-Admin-Secret: $(cat {state}/admin-secret)"
"#
    )?;
    Ok(())
}

fn print_logs(follow: bool, names: &[String]) -> anyhow::Result<()> {
    let files = files()?;
    for name in names {
        let is_known = Service::ALL.iter().any(|service| service.0 == name);
        let all = Service::ALL.map(|service| service.0).join(" ");
        ensure!(is_known, "there is no service {name}: {all}");
    }
    let is_wanted =
        |service: &Service| names.is_empty() || names.iter().any(|name| name == service.0);
    let logs = Service::ALL.into_iter().filter(is_wanted);
    let logs: Vec<_> = logs
        .map(|service| files.log(service))
        .filter(|log| log.exists())
        .collect();
    ensure!(!logs.is_empty(), "there are no logs yet");
    let mut tail = Program::new("tail");
    tail.args(["-n", "50"]);
    if follow {
        tail.arg("-F");
    }
    Err(tail.args(logs).exec()).context("can't run tail")
}
