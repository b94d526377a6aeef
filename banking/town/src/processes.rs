//! The processes of a bank, which may be killed one by one.

use crate::Service;
use anyhow::{Context as _, Result, ensure};
use replybus_testkit::servers::{Process, ReservedPort, Workplace};
use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Settings that a process must not inherit from whoever runs it.
const SETTINGS: [&str; 34] = [
    "RABBITMQ_URL",
    "REDIS_URL",
    "DATABASE_URL",
    "DATABASE_CONNECTIONS",
    "KEYS_DIR",
    "BUS_NAMESPACE",
    "PROBE_ADDR",
    "LOG_FORMAT",
    "HTTP_ADDR",
    "ADMIN_SECRET",
    "SESSION_TTL_SECONDS",
    "RABBITMQ_URL_FILE",
    "REDIS_URL_FILE",
    "DATABASE_URL_FILE",
    "ADMIN_SECRET_FILE",
    "PUBLIC_METRICS",
    "WS_ORIGINS",
    "WS_ADDR",
    "CONNECTIONS_PER_ADDRESS",
    "REGISTRATIONS_PER_MINUTE",
    "LOGINS_PER_MINUTE",
    "LOOKUPS_PER_MINUTE",
    "TRUSTED_PROXIES",
    "RABBITMQ_CA_FILE",
    "RABBITMQ_CERT_FILE",
    "RABBITMQ_KEY_FILE",
    "REDIS_CA_FILE",
    "REDIS_CERT_FILE",
    "REDIS_KEY_FILE",
    "DATABASE_CA_FILE",
    "DATABASE_CERT_FILE",
    "DATABASE_KEY_FILE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];

/// The program that serves: `{path} {arguments} serve {service}`.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its file.
    pub path: PathBuf,
    /// The arguments before `serve`.
    pub arguments: Vec<String>,
}

/// Processes of one program, in one directory, with the same settings but for their ports.
pub(crate) struct Processes {
    program: Program,
    environment: Vec<(&'static str, String)>,
    // Before the workplace: a process is gone before its directory is.
    replicas: Mutex<Vec<Replica>>,
    workplace: Mutex<Workplace>,
}

/// One process, or none since it was killed.
struct Replica {
    /// All of them, if it is none.
    service: Option<Service>,
    /// Kept over its restarts.
    port: Option<ReservedPort>,
    process: Option<Process>,
}

impl Processes {
    pub(crate) fn new(program: Program, environment: Vec<(&'static str, String)>) -> Result<Self> {
        Ok(Self {
            program,
            environment,
            replicas: Mutex::default(),
            workplace: Mutex::new(Workplace::new("bank")?),
        })
    }

    /// Sets one more environment variable, for those that are started from now on.
    pub(crate) fn set(&mut self, name: &'static str, value: String) {
        self.environment.push((name, value));
    }

    /// Adds a replica of a service, or of all in one process, and starts it. If it serves HTTP it
    /// keeps its port.
    pub(crate) fn add(&self, service: Option<Service>, port: Option<ReservedPort>) -> Result<()> {
        let mut replicas = self.replicas();
        replicas.push(Replica {
            service,
            port,
            process: None,
        });
        let number = replicas.len() - 1;
        drop(replicas);
        self.start(number)
    }

    /// The service of each replica, by its number; nothing in a bank of one process.
    pub(crate) fn services(&self) -> Vec<Service> {
        let replicas = self.replicas();
        replicas
            .iter()
            .filter_map(|replica| replica.service)
            .collect()
    }

    /// Kills a replica (SIGKILL).
    pub(crate) fn kill(&self, number: usize) {
        if let Some(replica) = self.replicas().get_mut(number) {
            replica.process = None;
        }
    }

    /// Kills all of them, for good.
    pub(crate) fn clear(&self) {
        self.replicas().clear();
    }

    /// Starts a replica, with the same settings as before. One that runs is killed.
    pub(crate) fn start(&self, number: usize) -> Result<()> {
        let mut replicas = self.replicas();
        let replica = replicas.get_mut(number).context("no such replica")?;
        replica.process = None;
        let mut command = Command::new(&self.program.path);
        command.args(&self.program.arguments).arg("serve");
        for setting in SETTINGS {
            command.env_remove(setting);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(service) = replica.service {
            command.arg(service.name());
        }
        if let Some(port) = &replica.port {
            command.env("HTTP_ADDR", port.address().to_string());
        }
        replica.process = Some(self.workplace().spawn(&mut command)?);
        Ok(())
    }

    /// Fails if one has ended that was not killed.
    pub(crate) fn check(&self) -> Result<()> {
        let all_run = self
            .replicas()
            .iter_mut()
            .filter_map(|replica| replica.process.as_mut())
            .all(Process::is_running);
        ensure!(all_run, "a process ended:\n{}", self.log_tail());
        Ok(())
    }

    /// A path in the directory that they work in.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.workplace().path(name)
    }

    /// All that they wrote.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.path("log"))?)
    }

    /// The end of what they wrote.
    pub(crate) fn log_tail(&self) -> String {
        self.workplace().log_tail()
    }

    fn replicas(&self) -> MutexGuard<'_, Vec<Replica>> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn workplace(&self) -> MutexGuard<'_, Workplace> {
        self.workplace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
