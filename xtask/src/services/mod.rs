//! Finding or starting the servers that tests, examples and the bank talk to.
//!
//! In reading order: an [`Origin`] says whose programs are meant, those of this machine or of a `tree`;
//! a [`Server`] is looked for in the order of [`choice`], on this `machine`,
//! whose servers of ours are written down in its [`state`]. What has to be started is a `private`
//! server or a `container`.

mod choice;
mod container;
mod machine;
mod origin;
mod private;
mod server;
pub(crate) mod state;
mod tree;

pub(crate) use origin::Origin;
pub(crate) use server::Server;

use crate::{debian, interrupt, probe};
use anyhow::{bail, ensure};
use choice::{Absence, Found};
use clap::{Args, Subcommand};
use machine::{ThisMachine, given_url, is_private};
use state::State;
use std::{
    fmt,
    io::{self, Write as _},
};

/// The command line after `cargo xtask services`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Finds or starts servers
    Up(Wanted),
    /// Stops what `up` started with the same choice of servers, and nothing else; says what runs of
    /// another choice
    Down(Wanted),
    /// Prints the addresses, for `eval "$(scripts/services env)"`
    Env(Named),
    /// Prints which servers are up, and where
    Status(Named),
}

/// Servers, and for whom.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// Keeps servers for this process: `down --for PID` leaves them alone while another process,
    /// or an `up` without this, wants them
    #[arg(long = "for", value_name = "PID")]
    holder: Option<u32>,
    #[command(flatten)]
    named: Named,
}

/// Some servers.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// RabbitMQ, Redis and PostgreSQL, unless some are named; NATS is only compared with
    #[arg(value_enum, value_name = "SERVER")]
    servers: Vec<Server>,
    #[command(flatten)]
    origin: Origin,
}

impl Named {
    fn servers(&self) -> &[Server] {
        if self.servers.is_empty() {
            &Server::NEEDED
        } else {
            &self.servers
        }
    }
}

/// Does what the command line says.
///
/// # Errors
/// Not all of it could be done. What it was is printed.
pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Up(wanted) => up(wanted.named.origin, wanted.named.servers(), wanted.holder),
        Command::Down(wanted) => {
            let origin = wanted.named.origin;
            down(origin, wanted.named.servers(), wanted.holder)?;
            tell_of_others(origin)
        }
        Command::Env(named) => print_environment(named),
        Command::Status(named) => print_status(named.origin, named.servers()),
    }
}

fn say(message: impl fmt::Display) {
    eprintln!("services: {message}");
}

/// Finds or starts servers, for a process if one is named.
///
/// # Errors
/// One is missing or does not work. What is missing is printed.
pub(crate) fn up(origin: Origin, servers: &[Server], holder: Option<u32>) -> anyhow::Result<()> {
    origin.prepare()?;
    let state = State::of_this_checkout(origin)?;
    let _lock = state.lock()?;
    if let Some(holder) = holder {
        state.hold(holder)?;
    }
    let mut missing = Vec::new();
    let mut failed = false;
    for server in servers.iter().copied() {
        if interrupt::check().is_err() {
            break;
        }
        match choice::find(&mut ThisMachine::new(server, &state, origin)) {
            Ok(place) => {
                say(Found(server, place));
                if holder.is_none() {
                    state.of(server).keep();
                }
            }
            Err(Absence::Missing) => missing.push(server),
            Err(Absence::DidNotStart) => failed = true,
            Err(Absence::Unusable(reason)) => {
                failed = true;
                let variable = server.variable();
                say(format_args!(
                    "{variable} is set, but that server {reason}: correct the variable, or unset it"
                ));
            }
        }
    }
    state.tidy();
    interrupt::check()?;
    if !missing.is_empty() {
        explain(origin, &missing);
    }
    ensure!(!failed && missing.is_empty(), "not all servers are there");
    Ok(())
}

/// Keeps the servers that are up for a process.
///
/// # Errors
/// There is no such process.
pub(crate) fn hold(origin: Origin, holder: u32) -> anyhow::Result<()> {
    let state = State::of_this_checkout(origin)?;
    let _lock = state.lock()?;
    state.hold(holder)
}

/// Stops servers that `up` started, unless others want them.
///
/// # Errors
/// One does not end.
pub(crate) fn down(origin: Origin, servers: &[Server], holder: Option<u32>) -> anyhow::Result<()> {
    let state = State::of_this_checkout(origin)?;
    if !state.path().exists() {
        return Ok(());
    }
    let _lock = state.lock()?;
    if let Some(holder) = holder {
        state.release(holder);
        if state.is_held() {
            return Ok(());
        }
    }
    let mut failed = false;
    for server in servers {
        let server = state.of(*server);
        if holder.is_some() && server.is_kept() {
            continue;
        }
        if let Err(error) = server.stop() {
            say(format_args!("{error:#}"));
            failed = true;
        }
    }
    state.tidy();
    ensure!(!failed, "not all servers have stopped");
    Ok(())
}

/// Says which servers of other choices run on, which `down` of this one leaves alone.
fn tell_of_others(origin: Origin) -> anyhow::Result<()> {
    for other in Origin::all().filter(|other| *other != origin) {
        let running = State::of_this_checkout(other)?.running();
        if !running.is_empty() {
            let names: Vec<_> = running.iter().map(ToString::to_string).collect();
            say(format_args!(
                "others run on: {} (scripts/services down{})",
                names.join(", "),
                other.arguments()
            ));
        }
    }
    Ok(())
}

/// The address of a server, without starting anything.
fn current_url(server: Server, state: &State, origin: Origin) -> Option<String> {
    let own = || state.of(server).port().map(|port| server.local_url(port));
    let default = || {
        let url = server.local_url(server.default_port());
        (!is_private(origin) && probe::check(server, &url).is_ok()).then_some(url)
    };
    let url = given_url(server, origin).or_else(own).or_else(default)?;
    Some(match server {
        Server::RabbitMq => probe::complete_amqp_url(&url),
        Server::Redis | Server::Postgres | Server::Nats => url,
    })
}

/// The addresses of servers that are up, each with its variable, and what tests that start servers
/// of their own must know.
///
/// # Errors
/// The working directory is unknown.
pub(crate) fn environment(
    origin: Origin,
    servers: &[Server],
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let state = State::of_this_checkout(origin)?;
    let up = servers.iter().filter_map(|server| {
        let url = current_url(*server, &state, origin)?;
        Some((server.variable(), url))
    });
    Ok(up.chain(origin.installation().variables()).collect())
}

fn print_environment(named: &Named) -> anyhow::Result<()> {
    let environment = environment(named.origin, named.servers())?;
    for server in &named.servers {
        let is_up = environment.iter().any(|(up, _)| *up == server.variable());
        ensure!(is_up, "{server} is not up: run scripts/services up");
    }
    ensure!(
        environment.iter().any(|(name, _)| name.ends_with("_URL")),
        "no server is up: run scripts/services up"
    );
    for (variable, url) in environment {
        writeln!(io::stdout(), "export {variable}={}", quoted(&url))?;
    }
    Ok(())
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn print_status(origin: Origin, servers: &[Server]) -> anyhow::Result<()> {
    let state = State::of_this_checkout(origin)?;
    let mut all_up = true;
    for server in servers.iter().copied() {
        let place = match (given_url(server, origin), state.of(server).port()) {
            (Some(_), _) => format!("the one in {}", server.variable()),
            (None, Some(port)) => format!("started by scripts/services, port {port}"),
            (None, None) => format!("the one on port {}", server.default_port()),
        };
        let url = current_url(server, &state, origin);
        let answers = url.is_some_and(|url| probe::check(server, &url).is_ok());
        let name = server.to_string();
        if answers {
            writeln!(io::stdout(), "{name:<10}  up    {place}")?;
        } else {
            writeln!(io::stdout(), "{name:<10}  down")?;
            all_up = false;
        }
    }
    if !all_up {
        bail!("not all servers are up");
    }
    Ok(())
}

fn explain(origin: Origin, missing: &[Server]) {
    let names: Vec<_> = missing.iter().map(|server| server.name()).collect();
    say(format_args!("no server for: {}", names.join(" ")));
    if origin.is_release() {
        say("they are not among the servers of that release");
        return;
    }
    let install = match debian::can_install() {
        true => "",
        false => " and cannot be installed from here",
    };
    for server in missing {
        let nearby = match is_private(origin) {
            true => String::new(),
            false => format!("no usable one on port {}, ", server.default_port()),
        };
        let package = server.package();
        say(format_args!(
            "  {server}: {nearby}{package} is not installed{install}, and no container engine \
             could start one"
        ));
    }
    say("install what is missing, or point these variables at servers that run:");
    say("  AMQP_URL=amqp://user:password@host:5672/%2f");
    say("  REDIS_URL=redis://host:6379/0");
    say("  DATABASE_URL=postgres://user:password@host:5432/database");
    say("  NATS_URL=nats://host:4222");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_an_address_as_it_is() {
        assert_eq!(quoted("redis://h/0?a=$b c"), "'redis://h/0?a=$b c'");
        let text = r"a'b\'c";
        let mut echo = std::process::Command::new("sh");
        let echo = echo.args(["-c", &format!("printf %s {}", quoted(text))]);
        assert_eq!(echo.output().unwrap().stdout, text.as_bytes());
    }
}
