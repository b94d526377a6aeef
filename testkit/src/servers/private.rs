//! A server of one's own.

use super::{Launch, Process, Program, ReservedPort, ServerError, Workplace, process::finished};
use crate::bound;
use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, timeout_at},
};

/// Between two looks at a process or a port.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A server on loopback that its owner may do anything with. Dropped, it is killed, and its data is
/// removed.
pub struct PrivateServer<P> {
    // Dropped in this order: the server, what it needs, then the directory.
    server: Process,
    _companions: Vec<Process>,
    workplace: Workplace,
    program: P,
    ports: Vec<ReservedPort>,
}

impl<P: Program> PrivateServer<P> {
    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    /// There is no port or file to be had, or it does not start in time.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the server is killed.
    pub async fn launch(program: P) -> Result<Self, ServerError> {
        let ports = (0..P::PORTS).map(|_| ReservedPort::new());
        Self::launch_on(program, ports.collect::<io::Result<_>>()?).await
    }

    /// As [`launch`](Self::launch), on these ports.
    pub(super) async fn launch_on(
        program: P,
        ports: Vec<ReservedPort>,
    ) -> Result<Self, ServerError> {
        bound::begin();
        let mut workplace = Workplace::new(&P::NAME.to_lowercase())?;
        program.lay_out(workplace.directory())?;
        let mut companions = Vec::new();
        for launch in program.processes(workplace.directory(), &numbers(&ports)) {
            companions.push(started::<P>(&mut workplace, launch).await?);
        }
        let Some(server) = companions.pop() else {
            let nothing = io::Error::other("there is no process to start");
            return Err(nothing.into());
        };
        Ok(Self {
            server,
            _companions: companions,
            workplace,
            program,
            ports,
        })
    }

    /// The port its clients connect to.
    ///
    /// # Panics
    /// Never: a server has a port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// Its host and port, for a proxy.
    ///
    /// # Panics
    /// Never: a server has a port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match self.ports.first() {
            Some(port) => port.address(),
            None => unreachable!("a server has a port"),
        }
    }

    /// Its address; the same after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        P::url(self.port())
    }

    /// A path in its directory, which is gone when it is dropped.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.workplace.path(name)
    }

    /// `true` until it has ended, also while it is frozen.
    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }

    /// Kills it without warning, as a crash would.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Stops its processes where they are: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.server.freeze();
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.server.thaw();
    }

    /// Shuts it down in good order, or kills it when that takes too long.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the server may still be ending.
    pub async fn stop(&mut self) {
        self.server.terminate();
        let end = Instant::now() + P::STOP_WITHIN;
        while self.server.is_running() && Instant::now() < end {
            sleep(LOOK_EVERY).await;
        }
        self.kill();
    }

    /// Starts it again, on the same port and with the data it kept. One that runs is killed first.
    ///
    /// # Errors
    /// It does not start in time.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the server is killed.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        self.kill();
        let end = Instant::now() + P::START_WITHIN;
        loop {
            let mut processes = self.program.processes(self.directory(), &self.ports());
            let Some(launch) = processes.pop() else {
                return Ok(());
            };
            match started::<P>(&mut self.workplace, launch).await {
                Ok(server) => {
                    self.server = server;
                    return Ok(());
                }
                // The processes that a killed PostgreSQL leaves hold its memory for a moment.
                Err(_) if Instant::now() < end => sleep(LOOK_EVERY).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Leaves it room for so many bytes in each file, or for as many as ever. What is more is written
    /// in part or not at all, as on a disk that is full. It is a limit of processes, so that it takes
    /// no right to mount a disk; `prlimit` is the tool of that name, run by who may set it. A server
    /// that does not ignore `SIGXFSZ` is ended by it.
    pub(super) async fn leave_room(
        &self,
        prlimit: impl Fn() -> Command,
        bytes: Option<u64>,
    ) -> Result<(), ServerError> {
        let bytes = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let (server, mut left) = (self.server.id(), Ok(()));
        // Those that a server starts later have what it has.
        for process in self.server.family() {
            let mut set = prlimit();
            set.args(["--pid", &process.to_string(), &format!("--fsize={bytes}:")]);
            let set = output("prlimit", set).await.map(drop);
            // A child may have ended.
            if process == server {
                left = set;
            }
        }
        left
    }

    pub(super) fn program(&self) -> &P {
        &self.program
    }

    pub(super) fn directory(&self) -> &Path {
        self.workplace.directory()
    }

    pub(super) fn ports(&self) -> Vec<u16> {
        numbers(&self.ports)
    }
}

impl<P: Program> fmt::Debug for PrivateServer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(P::NAME)
            .field("port", &self.port())
            .finish_non_exhaustive()
    }
}

fn numbers(ports: &[ReservedPort]) -> Vec<u16> {
    ports.iter().map(ReservedPort::number).collect()
}

/// A process that is ready.
async fn started<P: Program>(
    workplace: &mut Workplace,
    mut launch: Launch,
) -> Result<Process, ServerError> {
    let mut process = workplace.spawn(&mut launch.command)?;
    let end = Instant::now() + P::START_WITHIN;
    while process.is_running() && Instant::now() < end {
        let probe = launch.ready.clone();
        let asked = spawn_blocking(move || probe.is_answered());
        if let Ok(Ok(true)) = timeout_at(end, asked).await {
            return Ok(process);
        }
        sleep(LOOK_EVERY).await;
    }
    Err(ServerError::DidNotStart {
        server: P::NAME,
        log: workplace.log_tail(),
    })
}

/// Runs a tool to its end and returns what it printed.
pub(super) async fn output(tool: &'static str, command: Command) -> Result<String, ServerError> {
    spawn_blocking(move || finished(tool, command))
        .await
        .map_err(io::Error::other)?
}
