//! The servers that are tested with: where their programs are ([`Installation`]), how each is found,
//! set up and started ([`Program`]), and private ones for tests that stop, freeze, fill or kill one ([`PrivateServer`]).
//!
//! A private server has ports, data and processes of its own, and takes all of them with it when it
//! is dropped, or when the test process dies.

mod account;
mod clock;
mod installation;
mod nats;
mod port;
mod postgres;
#[cfg(feature = "live")]
mod private;
mod process;
mod program;
mod rabbitmq;
mod redis;
mod tls;
#[cfg(feature = "live")]
mod worker;

pub use clock::{Shown, WallClock};
pub use installation::{Installation, Store};
pub use nats::Nats;
pub use port::ReservedPort;
pub use postgres::Postgres;
pub use process::{Process, Workplace};
pub use program::{Launch, Probe, Program, program};
pub use rabbitmq::RabbitMq;
pub use redis::{Persistence, Redis};
pub use tls::TlsFiles;

#[cfg(feature = "live")]
pub use postgres::PrivatePostgres;
#[cfg(feature = "live")]
pub use private::PrivateServer;
#[cfg(feature = "live")]
pub use rabbitmq::PrivateRabbit;
#[cfg(feature = "live")]
pub use redis::PrivateRedis;
#[cfg(feature = "live")]
pub use worker::Worker;

use std::io;

/// A server is not there, or does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Its program is not installed.
    #[error("{server} is not installed: there is none of {}", looked_for.join(", "))]
    NotInstalled {
        /// The server.
        server: &'static str,
        /// The places where its program was looked for.
        looked_for: Vec<String>,
    },
    /// It is there, in a version that a test can't be made with.
    #[error("{server} {found} does not fit: {needed} is needed")]
    Unfit {
        /// The server.
        server: &'static str,
        /// Its version, as far as that is known.
        found: String,
        /// The versions that do, and why.
        needed: &'static str,
    },
    /// A variable that chooses among servers has a value that is not allowed.
    #[error("{variable} must be {allowed}")]
    Setting {
        /// The variable.
        variable: &'static str,
        /// What is allowed.
        allowed: &'static str,
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
        /// Its output.
        output: String,
    },
    /// A file, a port or a process can't be had.
    #[error("a private server's files, ports or processes failed")]
    Io(#[from] io::Error),
}

impl ServerError {
    /// `true` if there is no server, so that a test may be skipped.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::NotInstalled { .. } | Self::Unfit { .. } | Self::Unreachable { .. }
        )
    }

    /// `true` if it is what a machine may lack that has all the servers.
    #[cfg(feature = "live")]
    pub(crate) fn is_optional(&self) -> bool {
        match self {
            Self::NotInstalled { server, .. } => *server == clock::NAME,
            Self::Unfit { .. } => true,
            _ => false,
        }
    }
}
