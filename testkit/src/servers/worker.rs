//! A program of one's own that serves, and may be killed.

use super::{Process, ServerError, Workplace};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A worker process. Dropped, it is killed.
#[derive(Debug)]
pub struct Worker {
    // Dropped in this order: the process, then the directory.
    process: Process,
    workplace: Workplace,
}

impl Worker {
    /// The variable that names the file a worker writes down what it does in.
    pub const JOURNAL: &str = "JOURNAL";

    /// Starts a program, with settings as environment variables beside [`Self::JOURNAL`].
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(program: &Path, settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        let mut workplace = Workplace::new("worker")?;
        let mut command = Command::new(program);
        command.env(Self::JOURNAL, workplace.path("journal"));
        command.envs(settings.iter().copied());
        let process = workplace.spawn(&mut command)?;
        Ok(Self { process, workplace })
    }

    /// The file in which it writes down what it does. Gone when this is dropped.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.workplace.path("journal")
    }

    /// The end of what it printed.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.workplace.log_tail()
    }

    /// `true` until it has ended.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Kills it without warning, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}
