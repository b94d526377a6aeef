//! Processes that do not outlive the test that started them.

use super::ServerError;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// Bytes of a log that an error shows.
const LOG_TAIL_BYTES: usize = 4_000;

/// Waits for its input to end, which it does when the test process dies in any way, then kills the
/// process groups it read and removes the directory.
const WATCH: &str = r#"
groups=
while read -r group; do groups="$groups -$group"; done
[ -z "$groups" ] || kill -s KILL -- $groups
rm -rf -- "$1"
"#;

/// A directory, and a watch over the processes that work in it. Dropped, it is removed; a watch
/// removes it and kills them when the test process dies in any way. Of a test that fails the end of
/// their log is told.
#[derive(Debug)]
pub struct Workplace {
    directory: PathBuf,
    watch: Child,
}

impl Workplace {
    /// A new, empty directory.
    ///
    /// # Errors
    /// It can't be made, or there is no `sh` to watch it.
    pub fn new(name: &str) -> io::Result<Self> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!(
            "replybus-tests-{}-{number}-{name}",
            std::process::id()
        ));
        // One that a process of the same id left behind.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory)?;
        let watch = Command::new("sh")
            .args(["-c", WATCH, "sh"])
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not in the terminal's group: an interrupt must end the test and leave the watch.
            .process_group(0)
            .spawn()?;
        Ok(Self { directory, watch })
    }

    /// Its address.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Starts a process in a group of its own, in the directory, which writes to the file `log`.
    ///
    /// # Errors
    /// It can't be started.
    pub fn spawn(&mut self, command: &mut Command) -> io::Result<Process> {
        // Files, not pipes: who holds a pipe's end keeps its reader waiting.
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))?;
        let child = command
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let process = Process { child };
        if let Some(watch) = &mut self.watch.stdin {
            writeln!(watch, "{}", process.child.id())?;
        }
        Ok(process)
    }

    /// The end of the log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = fs::read(self.path("log")).unwrap_or_default();
        let tail = log.len().saturating_sub(LOG_TAIL_BYTES);
        String::from_utf8_lossy(log.get(tail..).unwrap_or_default()).into_owned()
    }

    #[allow(clippy::print_stderr, reason = "a failed test says on stderr why")]
    fn tell_log(&self) {
        let of = self.directory.file_name().unwrap_or_default().display();
        eprintln!("the end of the log of {of}:\n{}", self.log_tail());
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // The owner's processes are gone: there is nothing left to watch.
        let _ = self.watch.kill();
        let _ = self.watch.wait();
        if std::thread::panicking() {
            self.tell_log();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A process and its descendants; dropped, they are killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    fn signal_group(&self, signal: Signal) {
        // Fails only when none is left.
        let _ = self.pid().map(|pid| kill_process_group(pid, signal));
    }

    /// Stops it and its descendants where they are. Children that have left its group, as those of
    /// PostgreSQL do, are found on Linux only.
    pub fn freeze(&self) {
        self.signal_group(Signal::STOP);
        // It makes no new ones any more.
        self.signal_children(Signal::STOP);
    }

    /// Lets them go on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.signal_children(Signal::CONT);
        self.signal_group(Signal::CONT);
    }

    fn signal_children(&self, signal: Signal) {
        for child in self.children() {
            // Fails only when it has ended.
            let _ = kill_process(child, signal);
        }
    }

    fn children(&self) -> Vec<Pid> {
        let id = self.child.id();
        let listed = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let listed = listed.unwrap_or_default();
        let numbers = listed.split_whitespace().map(|child| child.parse().ok());
        numbers.flatten().filter_map(Pid::from_raw).collect()
    }

    /// Its number and those of its children, which are found on Linux only.
    #[cfg(feature = "live")]
    pub(super) fn family(&self) -> Vec<u32> {
        let children = self.children().into_iter().map(Pid::as_raw_pid);
        let children = children.filter_map(|child| child.try_into().ok());
        std::iter::once(self.id()).chain(children).collect()
    }

    /// Asks it to end in good order.
    pub fn terminate(&self) {
        // Fails only when it has ended.
        let _ = self.pid().map(|pid| kill_process(pid, Signal::TERM));
    }

    /// `true` until it has ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it and its descendants, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal_group(Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a tool to its end and returns what it printed. Blocks.
pub(super) fn finished(tool: &'static str, mut command: Command) -> Result<String, ServerError> {
    let done = command.stdin(Stdio::null()).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if done.status.success() {
        return Ok(text(&done.stdout));
    }
    Err(ServerError::Tool {
        tool,
        output: format!("{}\n{}", text(&done.stdout), text(&done.stderr)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_die_with_the_test_process() {
        let mut workplace = Workplace::new("watched").unwrap();
        let mut long = Command::new("sleep");
        let mut processes = [
            workplace.spawn(long.arg("1000")).unwrap(),
            workplace.spawn(&mut long).unwrap(),
        ];
        assert!(processes.iter_mut().all(Process::is_running));
        // As the system does when this process ends.
        drop(workplace.watch.stdin.take());
        workplace.watch.wait().unwrap();
        for process in &mut processes {
            process.child.wait().unwrap();
        }
        assert!(!workplace.directory.exists());
    }

    /// The state of a process in the system's list: `T` is stopped.
    #[cfg(target_os = "linux")]
    fn state(id: &str) -> Option<String> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(')')?;
        after_name.split_whitespace().next().map(str::to_owned)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_frozen_process_takes_children_along_that_have_left_its_group() {
        let mut workplace = Workplace::new("frozen").unwrap();
        let mut leaver = Command::new("sh");
        // As PostgreSQL does it.
        leaver.args(["-c", "setsid sleep 1000 & echo $! >child; wait"]);
        let process = workplace.spawn(&mut leaver).unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let wait_for = |wanted: &dyn Fn() -> bool| {
            while !wanted() {
                assert!(std::time::Instant::now() < end, "it takes too long");
                std::thread::yield_now();
            }
        };
        let child = || fs::read_to_string(workplace.path("child")).unwrap_or_default();
        let is_state = |wanted: &str| state(child().trim()).as_deref() == Some(wanted);
        wait_for(&|| is_state("S"));
        process.freeze();
        wait_for(&|| is_state("T"));
        process.thaw();
        wait_for(&|| is_state("S"));
        let child = child().trim().parse().ok().and_then(Pid::from_raw);
        kill_process(child.unwrap(), Signal::KILL).unwrap();
    }
}
