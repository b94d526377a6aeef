//! Private servers: on ports of their own, from programs that are installed.

use super::{
    Server,
    state::{ServerState, Stop},
};
use crate::{interrupt, probe, process};
use anyhow::ensure;
use replybus_testkit::servers::{
    Installation, Launch, Nats, Postgres, Program, RabbitMq, Redis, ReservedPort,
};
use std::time::Duration;

/// `true` if the server's program is there.
pub(super) fn is_installed(server: Server, installation: &Installation) -> bool {
    match server {
        Server::RabbitMq => RabbitMq::find(installation).is_ok(),
        Server::Redis => Redis::find(installation).is_ok(),
        Server::Postgres => Postgres::find(installation).is_ok(),
        Server::Nats => Nats::find(installation).is_ok(),
    }
}

/// Starts a server and returns its port. Another process can take a port between the look and the
/// server's start, so a first failure gets a second try.
///
/// # Errors
/// It does not start. The error has the end of its log.
pub(super) fn start(
    server: Server,
    state: &ServerState,
    installation: &Installation,
) -> anyhow::Result<u16> {
    try_to_start(server, state, installation).or_else(|_| {
        let started = try_to_start(server, state, installation);
        started.or_else(|error| {
            let log = state.log_tail();
            state.stop()?;
            Err(error.context(format!("the end of its log:\n{log}")))
        })
    })
}

fn try_to_start(
    server: Server,
    state: &ServerState,
    installation: &Installation,
) -> anyhow::Result<u16> {
    interrupt::check()?;
    state.begin()?;
    let (port, within) = match server {
        Server::RabbitMq => (
            launch(RabbitMq::find(installation)?, state)?,
            RabbitMq::START_WITHIN,
        ),
        Server::Redis => (
            launch(Redis::find(installation)?, state)?,
            Redis::START_WITHIN,
        ),
        Server::Postgres => (
            launch(Postgres::find(installation)?, state)?,
            Postgres::START_WITHIN,
        ),
        Server::Nats => (
            launch(Nats::find(installation)?, state)?,
            Nats::START_WITHIN,
        ),
    };
    await_answer(server, state, port, within)?;
    Ok(port)
}

/// Starts the processes of a server, each when the one before is ready, and returns the port.
fn launch<P: Program>(program: P, state: &ServerState) -> anyhow::Result<u16> {
    let directory = state.path("");
    program.lay_out(&directory)?;
    let ports = (0..P::PORTS).map(|_| ReservedPort::new());
    let ports: Vec<_> = ports.collect::<Result<_, _>>()?;
    let numbers: Vec<_> = ports.iter().map(ReservedPort::number).collect();
    for Launch { mut command, ready } in program.processes(&directory, &numbers) {
        let process = process::launch(&mut command, &directory, &state.path("log"))?;
        state.add(&process, Stop::of(state.server()))?;
        let mut is_ready = false;
        process::wait_until(P::START_WITHIN, || {
            is_ready = ready.is_answered();
            is_ready || !process.runs() || interrupt::check().is_err()
        });
        interrupt::check()?;
        ensure!(is_ready, "{} is not ready", P::NAME);
    }
    Ok(numbers.first().copied().unwrap_or_default())
}

/// Waits until the server answers on the port, as long as its processes run.
///
/// # Errors
/// It does not within the bound, or ended, or the command was interrupted.
pub(super) fn await_answer(
    server: Server,
    state: &ServerState,
    port: u16,
    within: Duration,
) -> anyhow::Result<()> {
    let url = server.local_url(port);
    let mut answers = false;
    process::wait_until(within, || {
        answers = state.all_run() && probe::check(server, &url).is_ok() && state.all_run();
        answers || !state.all_run() || interrupt::check().is_err()
    });
    interrupt::check()?;
    ensure!(answers, "{server} does not answer on port {port}");
    state.answers_on(port)
}
