//! One program of the bank or the shop, and what can be done to it.

use anyhow::Result;
use replybus_testkit::servers::{Process, ReservedPort, Workplace};
use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// A service stops within 25 s and closes within 5; one that does not is killed.
const STOP_WITHIN: Duration = Duration::from_secs(40);
/// Between two looks at one that is stopping.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a program is run.
pub(crate) struct ProgramPlan {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Its settings, but for the servers.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// The names of the settings that say where servers are, in the order of `Server::ALL`.
    pub(crate) servers: [&'static str; 3],
    /// The port it listens on, kept over its restarts.
    pub(crate) _port: Option<ReservedPort>,
}

/// A program.
pub(crate) struct Program {
    plan: ProgramPlan,
    life: Mutex<Life>,
}

/// Its process, if it is meant to run.
struct Life {
    // Dropped in this order: the process, then its folder.
    process: Option<Process>,
    workplace: Workplace,
}

impl Program {
    /// One that is not started yet, and reaches its servers at these addresses.
    pub(crate) fn new(mut plan: ProgramPlan, servers: Vec<SocketAddr>) -> Result<Self> {
        for (setting, address) in plan.servers.into_iter().zip(servers) {
            let url = match setting {
                "REDIS_URL" => format!("redis://{address}/0"),
                "DATABASE_URL" => format!("postgres://postgres@{address}/postgres"),
                _ => format!("amqp://guest:guest@{address}/%2f"),
            };
            plan.environment.push((setting, url));
        }
        let life = Life {
            process: None,
            workplace: Workplace::new("program")?,
        };
        Ok(Self {
            plan,
            life: Mutex::new(life),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.plan.name
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it. One that runs is killed.
    pub(crate) fn start(&self) -> Result<()> {
        let mut command = Command::new(&self.plan.file);
        // Nothing of what the environment of this program says is about those.
        command.env_clear().args(&self.plan.arguments);
        command.envs(
            self.plan
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        );
        if let Some(filter) = std::env::var_os("RUST_LOG") {
            command.env("RUST_LOG", filter);
        }
        let mut life = self.life();
        life.process = None;
        life.process = Some(life.workplace.spawn(&mut command)?);
        Ok(())
    }

    /// Kills it (SIGKILL).
    pub(crate) fn kill(&self) {
        self.life().process = None;
    }

    /// Stops it where it is (SIGSTOP).
    pub(crate) fn freeze(&self) {
        if let Some(process) = &self.life().process {
            process.freeze();
        }
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        if let Some(process) = &self.life().process {
            process.thaw();
        }
    }

    /// Asks it to end (SIGTERM) and waits until it has, or kills it.
    pub(crate) async fn stop(&self) {
        let stopping = self.life().process.take();
        let Some(mut stopping) = stopping else {
            return;
        };
        stopping.terminate();
        let end = Instant::now() + STOP_WITHIN;
        while stopping.is_running() && Instant::now() < end {
            sleep(LOOK_EVERY).await;
        }
    }

    /// The number of its process, if it has one.
    pub(crate) fn process(&self) -> Option<u32> {
        self.life().process.as_ref().map(Process::id)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.life()
            .process
            .as_mut()
            .is_some_and(Process::is_running)
    }

    /// The end of the log of one that is meant to run and does not.
    pub(crate) fn ended_by_itself(&self) -> Option<String> {
        let mut life = self.life();
        let is_running = life.process.as_mut().map(Process::is_running);
        (is_running == Some(false)).then(|| life.workplace.log_tail())
    }

    /// All that it wrote, over all its lives.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.life().workplace.path("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}
