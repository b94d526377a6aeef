//! The order in which a server is looked for.

use super::Server;
use std::fmt;

/// A machine: the answers to questions about a server on it, and the ways to have one.
pub(crate) trait Machine {
    /// The server that the user named, if one is named, or the reason why it does not work.
    fn given(&self) -> Option<Result<(), String>>;
    /// The port of one that was started here before, and answers.
    fn own(&self) -> Option<u16>;
    /// `true` if one answers on the port that it usually has.
    fn answers_on_default_port(&self) -> bool;
    /// `true` if its program is there.
    fn is_installed(&self) -> bool;
    /// `true` if its package may be installed, and could be.
    fn can_install(&self) -> bool;
    /// Installs its package, or says why not.
    fn install(&mut self);
    /// Starts its program, and returns the port; or says why not.
    fn start(&mut self) -> Option<u16>;
    /// Docker or Podman, if one runs.
    fn engine(&self) -> Option<Engine>;
    /// Starts a container, and returns the port; or says why not.
    fn start_container(&mut self, engine: Engine) -> Option<u16>;
    /// Stops what was started here before and is not needed any more.
    fn stop_own(&mut self);
}

/// A program that runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

impl Engine {
    /// Its program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// The place of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the address that the user named.
    Given,
    /// On this port, since an earlier command.
    Own(u16),
    /// On the port that it usually has.
    Default,
    /// On this port, started now.
    Started(u16),
    /// On this port, in a container started now.
    Container(Engine, u16),
}

/// The reason why there is no server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// The one that the user named does not work.
    Unusable(String),
    /// It is installed, and did not start.
    DidNotStart,
    /// It is neither there nor could be had.
    Missing,
}

/// Finds a server, or has one started: the first that works of what the user named, what was
/// started before, what is on the usual port, a private one, installed first if need be, and a
/// container.
///
/// # Errors
/// There is none. What is there and does not work is never passed over for the next: the user
/// would not notice which server is used.
pub(crate) fn find(machine: &mut impl Machine) -> Result<Place, Absence> {
    match machine.given() {
        Some(Ok(())) => return Ok(Place::Given),
        Some(Err(reason)) => return Err(Absence::Unusable(reason)),
        None => {}
    }
    if let Some(port) = machine.own() {
        return Ok(Place::Own(port));
    }
    if machine.answers_on_default_port() {
        machine.stop_own();
        return Ok(Place::Default);
    }
    if !machine.is_installed() && machine.can_install() {
        machine.install();
    }
    if machine.is_installed() {
        let started = machine.start();
        return started.map(Place::Started).ok_or(Absence::DidNotStart);
    }
    let engine = machine.engine().ok_or(Absence::Missing)?;
    let started = machine.start_container(engine);
    started
        .map(|port| Place::Container(engine, port))
        .ok_or(Absence::Missing)
}

/// A server and where it is, for people.
pub(crate) struct Found(pub Server, pub Place);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(server, place) = self;
        match place {
            Place::Given => write!(f, "{server}: the one in {}", server.variable()),
            Place::Own(port) => write!(f, "{server}: already started, port {port}"),
            Place::Default => write!(f, "{server}: the one on port {}", server.default_port()),
            Place::Started(port) => write!(f, "{server}: started, port {port}"),
            Place::Container(engine, port) => {
                write!(f, "{server}: started with {}, port {port}", engine.name())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine on which this is so, and that writes down what is done to it.
    #[derive(Default)]
    struct Imagined {
        given: Option<Result<(), String>>,
        own: Option<u16>,
        default: bool,
        installed: bool,
        installable: bool,
        starts: Option<u16>,
        engine: Option<Engine>,
        runs_containers: bool,
        done: Vec<&'static str>,
    }

    impl Machine for Imagined {
        fn given(&self) -> Option<Result<(), String>> {
            self.given.clone()
        }
        fn own(&self) -> Option<u16> {
            self.own
        }
        fn answers_on_default_port(&self) -> bool {
            self.default
        }
        fn is_installed(&self) -> bool {
            self.installed
        }
        fn can_install(&self) -> bool {
            self.installable
        }
        fn install(&mut self) {
            self.done.push("install");
            self.installed = self.starts.is_some();
        }
        fn start(&mut self) -> Option<u16> {
            self.done.push("start");
            self.starts
        }
        fn engine(&self) -> Option<Engine> {
            self.engine
        }
        fn start_container(&mut self, _: Engine) -> Option<u16> {
            self.done.push("container");
            self.runs_containers.then_some(4)
        }
        fn stop_own(&mut self) {
            self.done.push("stop own");
        }
    }

    fn everything() -> Imagined {
        Imagined {
            given: Some(Ok(())),
            own: Some(1),
            default: true,
            installed: true,
            installable: true,
            starts: Some(3),
            engine: Some(Engine::Docker),
            runs_containers: true,
            done: Vec::new(),
        }
    }

    #[test]
    fn each_is_taken_when_nothing_before_it_is_there() {
        let mut machine = everything();
        assert_eq!(find(&mut machine), Ok(Place::Given));
        machine.given = None;
        assert_eq!(find(&mut machine), Ok(Place::Own(1)));
        machine.own = None;
        assert!(machine.done.is_empty(), "found, and nothing done");
        assert_eq!(find(&mut machine), Ok(Place::Default));
        assert_eq!(machine.done, ["stop own"]);
        (machine.default, machine.done) = (false, Vec::new());
        assert_eq!(find(&mut machine), Ok(Place::Started(3)));
        assert_eq!(machine.done, ["start"]);
        (machine.installed, machine.done) = (false, Vec::new());
        assert_eq!(find(&mut machine), Ok(Place::Started(3)));
        assert_eq!(machine.done, ["install", "start"]);
        (machine.installed, machine.installable, machine.done) = (false, false, Vec::new());
        let place = Place::Container(Engine::Docker, 4);
        assert_eq!(find(&mut machine), Ok(place));
        assert_eq!(machine.done, ["container"]);
        machine.engine = None;
        assert_eq!(find(&mut machine), Err(Absence::Missing));
    }

    #[test]
    fn what_is_there_and_does_not_work_is_not_passed_over() {
        let mut machine = everything();
        machine.given = Some(Err("refuses".to_owned()));
        let refused = Err(Absence::Unusable("refuses".to_owned()));
        assert_eq!(find(&mut machine), refused);
        machine = Imagined {
            given: None,
            own: None,
            default: false,
            starts: None,
            ..everything()
        };
        assert_eq!(find(&mut machine), Err(Absence::DidNotStart));
        assert_eq!(machine.done, ["start"]);
    }

    #[test]
    fn what_could_not_be_installed_may_run_in_a_container() {
        let mut machine = Imagined {
            installable: true,
            engine: Some(Engine::Podman),
            runs_containers: true,
            ..Imagined::default()
        };
        let place = Place::Container(Engine::Podman, 4);
        assert_eq!(find(&mut machine), Ok(place));
        assert_eq!(machine.done, ["install", "container"]);
        machine.runs_containers = false;
        assert_eq!(find(&mut machine), Err(Absence::Missing));
    }
}
