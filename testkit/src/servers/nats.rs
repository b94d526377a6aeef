//! NATS, which only benchmarks need.

use super::{
    Installation, ServerError,
    program::{Launch, Probe, Program},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// NATS. A server keeps nothing and asks for no password.
#[derive(Debug)]
pub struct Nats {
    installation: Installation,
    server: PathBuf,
}

impl Program for Nats {
    const NAME: &'static str = "NATS";
    const PORTS: usize = 1;
    const START_WITHIN: Duration = Duration::from_secs(90);
    const STOP_WITHIN: Duration = Duration::from_secs(30);

    fn find(installation: &Installation) -> Result<Self, ServerError> {
        let candidates = ["nats-server", "/usr/sbin/nats-server"];
        Ok(Self {
            installation: installation.clone(),
            server: installation.program(Self::NAME, &candidates)?,
        })
    }

    fn lay_out(&self, _: &Path) -> Result<(), ServerError> {
        Ok(())
    }

    fn processes(&self, _: &Path, ports: &[u16]) -> Vec<Launch> {
        let port = ports.first().copied().unwrap_or_default();
        let mut command = self.installation.command(&self.server);
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        // It speaks first.
        let ready = Probe::new(port, b"", b"INFO ");
        vec![Launch { command, ready }]
    }

    fn url(port: u16) -> String {
        format!("nats://127.0.0.1:{port}")
    }
}
