//! A Redis server of one's own.

use super::{
    ReservedPort, ServerError,
    process::{Process, Workplace, answers, output},
    program,
};
use rustix::process::Signal;
use std::{net::SocketAddr, path::PathBuf, process::Command, time::Duration};

const SERVER: &str = "Redis";
const START_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What a Redis server still knows after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing.
    None,
    /// What it had acknowledged (`appendonly yes`, `appendfsync always`).
    AppendOnly,
}

/// A Redis server on loopback, without a password.
#[derive(Debug)]
pub struct PrivateRedis {
    // Dropped in this order: the server, then the directory.
    server: Process,
    workplace: Workplace,
    binary: PathBuf,
    port: ReservedPort,
    persistence: Persistence,
}

impl PrivateRedis {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// Redis is not installed, or does not start within 30 s.
    pub async fn start(persistence: Persistence) -> Result<Self, ServerError> {
        let binary = program(SERVER, &["redis-server"])?;
        let mut workplace = Workplace::new("redis")?;
        let port = ReservedPort::new()?;
        let mut command = server_command(&binary, &port, persistence);
        let mut redis = Self {
            server: workplace.spawn(&mut command)?,
            workplace,
            binary,
            port,
            persistence,
        };
        redis.ready().await?;
        Ok(redis)
    }

    /// Its address; the same after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port.number())
    }

    /// Its host and port, for a proxy.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Kills it without warning, as a crash would.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Stops it where it is: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.server.signal_group(Signal::STOP);
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.server.signal_group(Signal::CONT);
    }

    /// Shuts it down in good order.
    pub async fn stop(&mut self) {
        self.server.terminate(STOP_WITHIN).await;
    }

    /// Starts it again, on the same port and with the data it kept. One that runs is killed first.
    ///
    /// # Errors
    /// It does not start within 30 s.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        self.kill();
        let mut command = server_command(&self.binary, &self.port, self.persistence);
        self.server = self.workplace.spawn(&mut command)?;
        self.ready().await
    }

    /// Runs one command through `redis-cli` and returns what it printed.
    ///
    /// # Errors
    /// The tool is not installed or can't reach the server.
    pub async fn cli(&self, arguments: &[&str]) -> Result<String, ServerError> {
        let mut command = Command::new(program(SERVER, &["redis-cli"])?);
        command
            .args(["-h", "127.0.0.1", "-p", &self.port.number().to_string()])
            .args(arguments);
        output("redis-cli", command).await
    }

    async fn ready(&mut self) -> Result<(), ServerError> {
        let address = self.port.address();
        // Not `+PONG` while it still loads its data.
        let answering = || answers(address, b"PING\r\n", b"+PONG");
        if self.server.until(answering, START_WITHIN).await {
            Ok(())
        } else {
            Err(ServerError::DidNotStart {
                server: SERVER,
                log: self.workplace.log_tail(),
            })
        }
    }
}

fn server_command(binary: &PathBuf, port: &ReservedPort, persistence: Persistence) -> Command {
    let append_only = match persistence {
        Persistence::None => "no",
        Persistence::AppendOnly => "yes",
    };
    let mut command = Command::new(binary);
    // It works in the directory it is started in.
    command
        .args(["--port", &port.number().to_string()])
        .args(["--bind", "127.0.0.1", "--daemonize", "no", "--save", ""])
        .args(["--appendonly", append_only, "--appendfsync", "always"]);
    command
}
