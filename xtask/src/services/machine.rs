//! This machine, and what was started on it.

use super::{
    Server,
    choice::{Engine, Machine},
    container,
    origin::Origin,
    private, say,
    state::{ServerState, State},
};
use crate::{debian, interrupt, probe};
use replybus_testkit::servers::Installation;
use std::{env, fs, path::PathBuf};

/// `true` if only servers that are started here may be used.
pub(super) fn is_private(origin: Origin) -> bool {
    origin.is_release() || env::var_os("REPLYBUS_PRIVATE").is_some_and(|set| set == "1")
}

/// The address that the user gave in the environment.
pub(super) fn given_url(server: Server, origin: Origin) -> Option<String> {
    let given = env::var(server.variable()).ok();
    given.filter(|url| !url.is_empty() && !is_private(origin))
}

/// One server, as this machine has it.
pub(super) struct ThisMachine {
    server: Server,
    state: ServerState,
    origin: Origin,
    installation: Installation,
    install_log: PathBuf,
}

impl ThisMachine {
    pub(super) fn new(server: Server, state: &State, origin: Origin) -> Self {
        Self {
            server,
            state: state.of(server),
            origin,
            installation: origin.installation(),
            install_log: state.path().join("install.log"),
        }
    }

    fn answers(&self, port: u16) -> bool {
        probe::check(self.server, &self.server.local_url(port)).is_ok()
    }
}

impl Machine for ThisMachine {
    fn given(&self) -> Option<Result<(), String>> {
        given_url(self.server, self.origin).map(|url| probe::check(self.server, &url))
    }

    fn own(&self) -> Option<u16> {
        self.state.port().filter(|port| self.answers(*port))
    }

    fn answers_on_default_port(&self) -> bool {
        !is_private(self.origin) && self.answers(self.server.default_port())
    }

    fn is_installed(&self) -> bool {
        private::is_installed(self.server, &self.installation)
    }

    fn can_install(&self) -> bool {
        !self.origin.is_release() && debian::can_install()
    }

    fn install(&mut self) {
        let package = self.server.package();
        say(format_args!("installing the package {package}"));
        if debian::install(&[package], &self.install_log).is_err() {
            let log = fs::read_to_string(&self.install_log).unwrap_or_default();
            let why = log.trim().lines().last().unwrap_or_default();
            say(format_args!("apt-get could not install {package}: {why}"));
        }
    }

    fn start(&mut self) -> Option<u16> {
        let started = private::start(self.server, &self.state, &self.installation);
        let (server, told_to_end) = (self.server, interrupt::check().is_err());
        if let Err(error) = &started
            && !told_to_end
        {
            say(format_args!(
                "the private {server} did not start: {error:#}"
            ));
        }
        started.ok()
    }

    fn engine(&self) -> Option<Engine> {
        // What is in its images is of no release.
        (!self.origin.is_release())
            .then(container::engine)
            .flatten()
    }

    fn start_container(&mut self, engine: Engine) -> Option<u16> {
        let (server, name) = (self.server, engine.name());
        say(format_args!("starting a {server} container with {name}"));
        let started = container::start(server, &self.state, engine);
        started
            .inspect_err(|error| say(format_args!("{error:#}")))
            .ok()
    }

    fn stop_own(&mut self) {
        if let Err(error) = self.state.stop() {
            say(format_args!("{error:#}"));
        }
    }
}
