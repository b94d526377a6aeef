//! The services of the bank, each a process of its own.

use super::settings::Setting;
use crate::{
    process::{self, Process, wait_until},
    program,
};
use anyhow::ensure;
use rustix::process::Signal;
use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// A service stops within 25 s and then closes within 5.
const STOP_WITHIN: Duration = Duration::from_secs(40);
/// A service that was killed is gone within this.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// A service, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Service(pub(super) &'static str);

pub(super) const GATEWAY: Service = Service("api-producer");
pub(super) const NOTIFICATION: Service = Service("notification-service");

impl Service {
    /// All of them. The gateway is the first to stop, so that what it was asked is still answered.
    pub(super) const ALL: [Self; 5] = [
        GATEWAY,
        Self("auth-service"),
        Self("account-service"),
        Self("transfer-service"),
        NOTIFICATION,
    ];

    /// The gateway's route that tells the health of the service.
    pub(super) fn health_path(self) -> String {
        match self.0.strip_suffix("-service") {
            None => "/health".to_owned(),
            Some("notification") => "/api/notifications/health".to_owned(),
            Some(part) => format!("/api/{part}/health"),
        }
    }
}

/// The files of the bank: logs, and the processes that run.
#[derive(Debug)]
pub(super) struct Files(pub(super) PathBuf);

impl Files {
    pub(super) fn log(&self, service: Service) -> PathBuf {
        self.0.join(format!("{}.log", service.0))
    }

    fn process_file(&self, service: Service) -> PathBuf {
        self.0.join(format!("{}.process", service.0))
    }

    /// The process of a service that runs.
    pub(super) fn process(&self, service: Service) -> Option<Process> {
        let written = fs::read_to_string(self.process_file(service)).ok()?;
        written.parse().ok().filter(Process::runs)
    }

    pub(super) fn runs(&self, service: Service) -> bool {
        self.process(service).is_some()
    }

    /// The first that has ended, if one has.
    pub(super) fn first_ended(&self) -> Option<Service> {
        let mut services = Service::ALL.into_iter();
        services.find(|service| !self.runs(*service))
    }

    /// Starts a service.
    ///
    /// # Errors
    /// It can't be started.
    pub(super) fn launch(
        &self,
        service: Service,
        binaries: &Path,
        settings: &[Setting],
    ) -> anyhow::Result<()> {
        let log = self.log(service);
        let mut file = OpenOptions::new().create(true).append(true).open(&log)?;
        writeln!(file, "\n---- started by cargo xtask bank up")?;
        let mut command = Command::new(binaries.join(service.0));
        command
            .envs(settings.iter().map(|(name, value)| (name, value)))
            // Probes of several processes would want the same address.
            .env_remove("PROBE_ADDR");
        let process = process::launch(&mut command, &self.0, &log)?;
        Ok(fs::write(self.process_file(service), process.to_string())?)
    }

    /// Stops services, all at once.
    ///
    /// # Errors
    /// One does not end, though it was killed.
    pub(super) fn stop(&self, services: &[Service]) -> anyhow::Result<()> {
        let running = || {
            let running = services.iter().filter_map(|service| {
                let process = self.process(*service)?;
                Some((service.0, process))
            });
            running.collect::<Vec<_>>()
        };
        for (_, process) in running() {
            process.signal(Signal::TERM);
        }
        if !wait_until(STOP_WITHIN, || running().is_empty()) {
            for (name, process) in running() {
                super::say(format_args!(
                    "{name} did not stop within {} s, and is killed",
                    STOP_WITHIN.as_secs()
                ));
                process.signal(Signal::KILL);
            }
            let gone = wait_until(KILLED_WITHIN, || running().is_empty());
            ensure!(gone, "services do not end");
        }
        for service in services {
            // It may never have been started.
            let _ = fs::remove_file(self.process_file(*service));
        }
        Ok(())
    }

    /// Prints the end of a service's log, and what is wrong with it.
    pub(super) fn blame(&self, service: Service, what: &str) {
        let log = program::log_tail(&self.log(service));
        super::say(format_args!(
            "{} {what}; the end of its log:\n{log}",
            service.0
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_its_health() {
        let paths = Service::ALL.map(Service::health_path);
        assert_eq!(
            paths,
            [
                "/health",
                "/api/auth/health",
                "/api/account/health",
                "/api/transfer/health",
                "/api/notifications/health",
            ]
        );
    }
}
