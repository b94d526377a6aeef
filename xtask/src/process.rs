//! Processes that live on when the command that started them has ended.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fmt,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
    str::FromStr,
    thread::sleep,
    time::{Duration, Instant},
};

/// Between two looks at a process.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A killed process is gone within this.
const KILLED_WITHIN: Duration = Duration::from_secs(5);

/// A process, told by its start from a later one with the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    id: u32,
    started: String,
}

impl Process {
    /// The process of this id, if it runs.
    pub(crate) fn of(id: u32) -> Option<Self> {
        let started = start_of(id)?;
        Some(Self { id, started })
    }

    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// `true` if it has not ended.
    pub(crate) fn runs(&self) -> bool {
        Self::of(self.id).as_ref() == Some(self)
    }

    /// Sends it a signal, if it runs.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.runs()) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends it by a signal, or, when it has not ended within the bound, kills it. `false` if it
    /// runs after that.
    pub(crate) fn stop(&self, signal: Signal, within: Duration) -> bool {
        self.signal(signal);
        wait_until(within, || !self.runs()) || {
            self.signal(Signal::KILL);
            wait_until(KILLED_WITHIN, || !self.runs())
        }
    }
}

/// As it is written down: id and start.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.started)
    }
}

impl FromStr for Process {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (id, started) = text.trim().split_once(' ').context("it is no process")?;
        Ok(Self {
            id: id.parse()?,
            started: started.to_owned(),
        })
    }
}

/// Starts a program in a group of its own, so that an interrupt of this one does not reach it. It
/// works in `directory` and writes to the end of `log`.
///
/// # Errors
/// It can't be started.
pub(crate) fn launch(
    program: &mut Command,
    directory: &Path,
    log: &Path,
) -> anyhow::Result<Process> {
    let log = File::options().create(true).append(true).open(log)?;
    let child = program
        .current_dir(directory)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("can't start a process")?;
    // One that ended at once is told from one that runs by its start, too.
    let ended = Process {
        id: child.id(),
        started: "ended".to_owned(),
    };
    Ok(Process::of(child.id()).unwrap_or(ended))
}

/// Waits for a state; `false` if it did not come within the bound.
pub(crate) fn wait_until(within: Duration, mut reached: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + within;
    loop {
        if reached() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        sleep(LOOK_EVERY);
    }
}

/// The start of a process, in a form of the system's; nothing of one that has ended, though its
/// parent may not have noticed.
fn start_of(id: u32) -> Option<String> {
    if Path::new("/proc/self/stat").exists() {
        return start_in_stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?);
    }
    let listed = Command::new("ps")
        .args(["-o", "stat=,lstart=", "-p", &id.to_string()])
        .output()
        .ok()?;
    let listed = String::from_utf8(listed.stdout).ok()?;
    let (state, started) = listed.trim().split_once(' ')?;
    let started = started.split_whitespace().collect::<Vec<_>>().join("-");
    (!state.starts_with('Z')).then_some(started)
}

/// The start in a line of `/proc/ID/stat`: the 22nd field. The second is the name in brackets, and
/// can hold anything.
fn start_in_stat(line: &str) -> Option<String> {
    let (_, after_name) = line.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| started.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_by_its_start() {
        let this = Process::of(std::process::id()).unwrap();
        assert!(this.runs());
        let written: Process = this.to_string().parse().unwrap();
        assert_eq!(written, this);
        let earlier = Process {
            started: "0".to_owned(),
            ..this
        };
        assert!(!earlier.runs());
    }

    #[test]
    fn the_start_is_found_behind_any_name() {
        let line = "7 (a) b (c)) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0";
        assert_eq!(start_in_stat(line).as_deref(), Some("4711"));
        let ended = "7 (sh) Z 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0";
        assert_eq!(start_in_stat(ended), None);
        assert_eq!(start_in_stat(""), None);
    }

    #[test]
    fn what_is_launched_runs_and_ends() {
        let directory = std::env::temp_dir();
        let log = directory.join(format!("xtask-launch-{}", std::process::id()));
        let mut program = Command::new("sh");
        program.args(["-c", "echo $SAID; exec sleep 600"]);
        program.env("SAID", "hello");
        let process = launch(&mut program, &directory, &log).unwrap();
        let has_spoken = || fs::read_to_string(&log).is_ok_and(|said| said == "hello\n");
        assert!(wait_until(Duration::from_secs(30), has_spoken));
        assert!(process.runs());
        assert!(process.stop(Signal::TERM, Duration::from_secs(30)));
        assert!(!process.runs());
        fs::remove_file(log).unwrap();
    }
}
