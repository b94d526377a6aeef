//! Private servers, for tests that stop, freeze or fill one.
//!
//! Each has ports, data and processes of its own, and takes all of them with it when it is dropped,
//! or when the test process dies.

mod port;
mod process;
mod rabbitmq;
mod redis;
mod worker;

pub use port::ReservedPort;
pub use process::{Process, Workplace};
pub use rabbitmq::PrivateRabbit;
pub use redis::{Persistence, PrivateRedis};
pub use worker::Worker;

use std::{io, path::PathBuf};

/// A server is not there, or does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Its program is not installed.
    #[error("{server} is not installed: there is none of {}", looked_for.join(", "))]
    NotInstalled {
        /// The server.
        server: &'static str,
        /// Where its program was looked for.
        looked_for: Vec<String>,
    },
    /// A shared one does not accept connections.
    #[error("{server} does not answer at {address}")]
    Unreachable {
        /// The server.
        server: &'static str,
        /// Host and port.
        address: String,
    },
    /// It was started, and is not ready in time, or ended.
    #[error("{server} did not start; the end of its log:\n{log}")]
    DidNotStart {
        /// The server.
        server: &'static str,
        /// The last lines it wrote.
        log: String,
    },
    /// One of its tools reported a failure.
    #[error("{tool} failed: {output}")]
    Tool {
        /// The tool.
        tool: &'static str,
        /// What it wrote.
        output: String,
    },
    /// A file, a port or a process can't be had.
    #[error("a private server's files, ports or processes failed")]
    Io(#[from] io::Error),
}

impl ServerError {
    /// Whether there is no server, so that a test may be skipped.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NotInstalled { .. } | Self::Unreachable { .. })
    }
}

/// The first of these programs that is installed; a name without a slash is looked up in `PATH`.
fn program(server: &'static str, candidates: &[&str]) -> Result<PathBuf, ServerError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    candidates
        .iter()
        .flat_map(|candidate| {
            if candidate.contains('/') {
                vec![PathBuf::from(candidate)]
            } else {
                std::env::split_paths(&path)
                    .map(|directory| directory.join(candidate))
                    .collect()
            }
        })
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| ServerError::NotInstalled {
            server,
            looked_for: candidates.iter().map(ToString::to_string).collect(),
        })
}
