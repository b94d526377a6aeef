//! The record of servers that were started here: one directory for each checkout and user.
//!
//! | file | holds |
//! |---|---|
//! | `SERVER/port` | the port it answers on |
//! | `SERVER/processes` | a line for each of its processes: id, start, how it is stopped |
//! | `SERVER/container` | instead of processes: engine and container |
//! | `SERVER/kept` | exists if an `up` without `--for` wants the server |
//! | `holders/ID` | the start of a process that wants the servers |

use super::{Server, origin::Origin};
use crate::{
    interrupt,
    process::{LOOK_EVERY, Process},
    program,
};
use anyhow::{Context as _, anyhow, ensure};
use clap::ValueEnum as _;
use rustix::process::{Signal, getuid};
use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// A process has this long to end by itself.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// The directory.
#[derive(Debug, Clone)]
pub(crate) struct State {
    directory: PathBuf,
}

/// The right to change what the state says, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not used")] File);

impl State {
    /// The directory of this checkout and this choice of servers: in `REPLYBUS_SERVICES_DIR`, or
    /// among temporary files.
    ///
    /// # Errors
    /// The working directory is unknown.
    pub(crate) fn of_this_checkout(origin: Origin) -> anyhow::Result<Self> {
        let name = format!("replybus-services{}", origin.suffix());
        let chosen = env::var_os("REPLYBUS_SERVICES_DIR").filter(|chosen| !chosen.is_empty());
        let directory = match chosen {
            Some(chosen) => PathBuf::from(chosen).join(&name),
            None => temporary(&name),
        };
        Ok(Self {
            directory: std::path::absolute(directory)?,
        })
    }

    /// The files of a server.
    pub(crate) fn of(&self, server: Server) -> ServerState {
        ServerState {
            server,
            directory: self.directory.join(server.name()),
        }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    /// Makes the directory if need be, and waits until no other command changes it.
    ///
    /// # Errors
    /// It can't be made, or belongs to another user.
    pub(crate) fn lock(&self) -> anyhow::Result<Lock> {
        loop {
            // Others must be able to pass through (PostgreSQL does not run as root), but not list.
            own_directory(&self.directory, 0o711, "REPLYBUS_SERVICES_DIR")?;
            let path = self.directory.join("lock");
            let file = match OpenOptions::new().create(true).append(true).open(&path) {
                Ok(file) => file,
                // The directory went away with what another command stopped.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).context(format!("can't open {}", path.display())),
            };
            wait_for(&file)?;
            // It goes away with the directory: what was waited for may not be what is there now.
            let is_current = path.metadata().is_ok_and(|now| {
                file.metadata()
                    .is_ok_and(|held| (held.dev(), held.ino()) == (now.dev(), now.ino()))
            });
            if is_current {
                return Ok(Lock(file));
            }
        }
    }

    /// Writes down that a process wants the servers.
    ///
    /// # Errors
    /// There is no such process, or it can't be written.
    pub(crate) fn hold(&self, holder: u32) -> anyhow::Result<()> {
        let process = Process::of(holder);
        let process = process.with_context(|| format!("there is no process {holder}"))?;
        let holders = self.directory.join("holders");
        fs::create_dir_all(&holders)?;
        fs::write(holders.join(holder.to_string()), process.to_string())?;
        Ok(())
    }

    /// Forgets that a process wants the servers.
    pub(crate) fn release(&self, holder: u32) {
        let _ = fs::remove_file(self.directory.join("holders").join(holder.to_string()));
    }

    /// `true` if a process that runs wants the servers.
    pub(crate) fn is_held(&self) -> bool {
        let holders = fs::read_dir(self.directory.join("holders"));
        holders.into_iter().flatten().flatten().any(|holder| {
            let written = fs::read_to_string(holder.path()).unwrap_or_default();
            written.parse().is_ok_and(|process: Process| process.runs())
        })
    }

    /// The servers that were started here and run.
    pub(crate) fn running(&self) -> Vec<Server> {
        let all = Server::value_variants().iter().copied();
        all.filter(|server| self.of(*server).port().is_some())
            .collect()
    }

    /// Removes the directory, unless a server or a holder is left.
    pub(crate) fn tidy(&self) {
        let owns_any = Server::value_variants()
            .iter()
            .any(|server| self.of(*server).directory.exists());
        if !owns_any && !self.is_held() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// The record of one server.
#[derive(Debug, Clone)]
pub(crate) struct ServerState {
    server: Server,
    directory: PathBuf,
}

impl ServerState {
    /// The server.
    pub(crate) fn server(&self) -> Server {
        self.server
    }

    /// The path of a file of it, or of the directory itself.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Begins anew: an empty directory.
    ///
    /// # Errors
    /// What was there does not end, or can't be replaced.
    pub(crate) fn begin(&self) -> anyhow::Result<()> {
        self.stop()?;
        fs::create_dir(&self.directory).context("can't make a directory")
    }

    /// Its port, if it was started here and its processes run.
    pub(crate) fn port(&self) -> Option<u16> {
        let port = fs::read_to_string(self.path("port")).ok()?;
        port.trim().parse().ok().filter(|_| self.all_run())
    }

    /// Notes that it answers.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn answers_on(&self, port: u16) -> anyhow::Result<()> {
        Ok(fs::write(self.path("port"), port.to_string())?)
    }

    /// Notes a process of it, and how it is stopped.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn add(&self, process: &Process, stop: Stop) -> anyhow::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("processes"))?;
        Ok(writeln!(file, "{} {process}", stop.name())?)
    }

    /// Notes the container that it is.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn contained(&self, engine: &str, container: &str) -> anyhow::Result<()> {
        Ok(fs::write(
            self.path("container"),
            format!("{engine} {container}"),
        )?)
    }

    /// Keeps it until somebody stops it.
    pub(crate) fn keep(&self) {
        if self.directory.exists() {
            let _ = File::create(self.path("kept"));
        }
    }

    /// `true` if it is kept until somebody stops it.
    pub(crate) fn is_kept(&self) -> bool {
        self.path("kept").exists()
    }

    /// `true` if all processes that were started for it run.
    pub(crate) fn all_run(&self) -> bool {
        self.processes().iter().all(|(_, process)| process.runs())
    }

    /// The end of its log.
    pub(crate) fn log_tail(&self) -> String {
        program::log_tail(&self.path("log"))
    }

    /// Stops it, and forgets it.
    ///
    /// # Errors
    /// A process does not end, or a file can't be removed.
    pub(crate) fn stop(&self) -> anyhow::Result<()> {
        if !self.directory.exists() {
            return Ok(());
        }
        let mut stopped = Ok(());
        for (stop, process) in self.processes().iter().rev() {
            if !process.stop(stop.signal(), STOP_WITHIN) {
                stopped = Err(anyhow!(
                    "process {} of {} does not end",
                    process.id(),
                    self.server
                ));
            }
        }
        if let Ok(container) = fs::read_to_string(self.path("container"))
            && let Some((engine, container)) = container.trim().split_once(' ')
        {
            super::container::remove(engine, container);
        }
        // What is left of it is needed to try again.
        stopped?;
        fs::remove_dir_all(&self.directory)
            .with_context(|| format!("can't remove {}", self.directory.display()))
    }

    fn processes(&self) -> Vec<(Stop, Process)> {
        let written = fs::read_to_string(self.path("processes")).unwrap_or_default();
        let lines = written.lines().filter_map(|line| {
            let (stop, process) = line.split_once(' ')?;
            Some((Stop::named(stop)?, process.parse().ok()?))
        });
        lines.collect()
    }
}

/// The signal that asks a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// As most are.
    Terminate,
    /// PostgreSQL's way to end without waiting for its clients.
    Interrupt,
}

impl Stop {
    /// The one for the processes of a server.
    pub(crate) fn of(server: Server) -> Self {
        match server {
            Server::RabbitMq | Server::Redis | Server::Nats => Self::Terminate,
            Server::Postgres => Self::Interrupt,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let mut all = [Self::Terminate, Self::Interrupt].into_iter();
        all.find(|stop| stop.name() == name)
    }

    fn signal(self) -> Signal {
        match self {
            Self::Terminate => Signal::TERM,
            Self::Interrupt => Signal::INT,
        }
    }
}

/// Waits for the right to change a state, unless told to end meanwhile. What stops servers may have
/// been told so before, and waits all the same.
pub(super) fn wait_for(file: &File) -> anyhow::Result<()> {
    let was_told = interrupt::check().is_err();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if was_told => {}
            Err(TryLockError::WouldBlock) => interrupt::check()?,
            Err(TryLockError::Error(error)) => return Err(error).context("can't lock the state"),
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// A directory among temporary files that belongs to this checkout and this user.
pub(crate) fn temporary(name: &str) -> PathBuf {
    let base = Path::new("/tmp");
    let base = if base.is_dir() {
        base.to_owned()
    } else {
        env::temp_dir()
    };
    let checkout = checksum(crate::checkout().as_os_str().as_encoded_bytes());
    base.join(format!("{name}-{}-{checkout:08x}", getuid().as_raw()))
}

/// FNV-1a: the same for the same path, whatever compiled it.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Makes a directory, if it is not there. It must not be a trap laid by another user.
///
/// # Errors
/// It can't be made, or is something else than a directory of this user's. The error names the
/// variable that chooses another place.
pub(crate) fn own_directory(path: &Path, mode: u32, variable: &str) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // It is looked at below, whoever made it.
    let _ = DirBuilder::new().mode(mode).create(path);
    let is_own = path
        .symlink_metadata()
        .is_ok_and(|found| found.is_dir() && found.uid() == getuid().as_raw());
    ensure!(
        is_own,
        "{} is not a directory of this user: set {variable} to another place",
        path.display()
    );
    // Whatever the umask took from it, or an earlier owner's habits gave.
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("can't set the permissions of {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str) -> State {
        let directory = env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        State { directory }
    }

    #[test]
    fn the_state_is_gone_when_nobody_needs_it() {
        let state = state("tidy");
        let lock = state.lock().unwrap();
        state.hold(std::process::id()).unwrap();
        assert!(state.is_held());
        state.tidy();
        assert!(state.path().exists(), "somebody holds the servers");
        state.release(std::process::id());
        let redis = state.of(Server::Redis);
        redis.begin().unwrap();
        state.tidy();
        assert!(state.path().exists(), "a server is there");
        redis.stop().unwrap();
        state.tidy();
        assert!(!state.path().exists());
        drop(lock);
    }

    #[test]
    fn who_has_ended_holds_nothing() {
        let state = state("ended");
        let _lock = state.lock().unwrap();
        assert!(state.hold(0).is_err());
        fs::create_dir(state.path().join("holders")).unwrap();
        fs::write(state.path().join("holders/1"), "1 long-ago").unwrap();
        assert!(!state.is_held());
        state.tidy();
    }

    #[test]
    fn a_server_is_there_while_its_processes_run() {
        let state = state("processes");
        let _lock = state.lock().unwrap();
        let redis = state.of(Server::Redis);
        redis.begin().unwrap();
        assert_eq!(redis.port(), None);
        redis.answers_on(7).unwrap();
        let this = Process::of(std::process::id()).unwrap();
        redis.add(&this, Stop::Terminate).unwrap();
        assert_eq!(redis.port(), Some(7));
        assert_eq!(state.running(), [Server::Redis]);
        let gone: Process = "1 long-ago".parse().unwrap();
        redis.add(&gone, Stop::Interrupt).unwrap();
        assert_eq!(redis.port(), None);
        assert!(state.running().is_empty());
        fs::remove_dir_all(state.path()).unwrap();
    }

    #[test]
    fn a_directory_of_somebody_else_or_a_link_is_not_used() {
        let link = env::temp_dir().join(format!("xtask-link-{}", std::process::id()));
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(env::temp_dir(), &link).unwrap();
        let refused = own_directory(&link, 0o700, "PLACE").unwrap_err();
        assert!(refused.to_string().contains("PLACE"));
        fs::remove_file(link).unwrap();
    }
}
