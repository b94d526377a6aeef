//! A server in a container.

use super::{Server, choice::Engine, private, state::ServerState};
use crate::program;
use anyhow::{Context as _, bail};
use replybus_testkit::servers::ReservedPort;
use std::{
    process::{Command, Stdio},
    time::Duration,
};

/// An engine says within this whether it runs.
const ENGINE_WITHIN: Duration = Duration::from_secs(20);
/// A container answers within this.
const START_WITHIN: Duration = Duration::from_secs(90);

/// The first engine that runs.
pub(super) fn engine() -> Option<Engine> {
    [Engine::Docker, Engine::Podman].into_iter().find(|engine| {
        let mut info = Command::new(engine.name());
        program::output_within(ENGINE_WITHIN, info.arg("info")).is_some()
    })
}

/// Starts a container, and returns the port.
///
/// # Errors
/// It does not start, or does not answer. Then it is gone.
pub(super) fn start(server: Server, state: &ServerState, engine: Engine) -> anyhow::Result<u16> {
    state.begin()?;
    let started = run(server, state, engine);
    if started.is_err() {
        state.stop()?;
    }
    started
}

fn run(server: Server, state: &ServerState, engine: Engine) -> anyhow::Result<u16> {
    let reserved = ReservedPort::new()?;
    let port = reserved.number();
    let mut command = Command::new(engine.name());
    command
        .args(["run", "-d", "--rm", "-p"])
        .arg(format!("127.0.0.1:{port}:{}", server.default_port()));
    if server == Server::Postgres {
        command.args(["-e", "POSTGRES_HOST_AUTH_METHOD=trust"]);
    }
    let name = engine.name();
    let ran = command
        .arg(server.image())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{name} could not start it"))?;
    if !ran.status.success() {
        let why = String::from_utf8_lossy(&ran.stderr);
        bail!(
            "{name} could not start it: {}",
            why.trim().lines().last().unwrap_or_default()
        );
    }
    let container = String::from_utf8(ran.stdout)?;
    state.contained(name, container.trim())?;
    private::await_answer(server, state, port, START_WITHIN)?;
    Ok(port)
}

/// Removes a container with its data, if it is there.
pub(super) fn remove(engine: &str, container: &str) {
    program::succeeds(Command::new(engine).args(["rm", "-f", "-v", container]));
}
