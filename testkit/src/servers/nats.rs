//! NATS, which only benchmarks need.

use super::{
    ServerError,
    program::{Launch, Probe, Program, program},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// NATS. A server keeps nothing and asks for no password.
#[derive(Debug)]
pub struct Nats {
    server: PathBuf,
}

impl Program for Nats {
    const NAME: &'static str = "NATS";
    const PORTS: usize = 1;
    const START_WITHIN: Duration = Duration::from_secs(90);
    const STOP_WITHIN: Duration = Duration::from_secs(30);

    fn find() -> Result<Self, ServerError> {
        Ok(Self {
            server: program(Self::NAME, &["nats-server", "/usr/sbin/nats-server"])?,
        })
    }

    fn lay_out(&self, _: &Path) -> Result<(), ServerError> {
        Ok(())
    }

    fn processes(&self, _: &Path, ports: &[u16]) -> Vec<Launch> {
        let port = ports.first().copied().unwrap_or_default();
        let mut command = Command::new(&self.server);
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        // It speaks first.
        let ready = Probe::new(port, b"", b"INFO ");
        vec![Launch { command, ready }]
    }

    fn url(port: u16) -> String {
        format!("nats://127.0.0.1:{port}")
    }
}
