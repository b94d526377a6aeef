//! Programs of this machine: where they are, and running one to its end.

use crate::process::wait_until;
use replybus_testkit::servers::program;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

/// Lines of a log that are shown when something is wrong.
const LOG_LINES: usize = 15;

/// The first of these that is a program; a name without a slash is looked up in `PATH`.
pub(crate) fn find(candidates: &[&str]) -> Option<PathBuf> {
    // The error would name a server.
    program("", candidates).ok()
}

/// `true` if this name is a program in `PATH`.
pub(crate) fn is_installed(name: &str) -> bool {
    find(&[name]).is_some()
}

/// The output of a program, if it ended well within the bound. One that takes longer is killed.
pub(crate) fn output_within(bound: Duration, command: &mut Command) -> Option<String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut ended = None;
    wait_until(bound, || {
        ended = child.try_wait().ok().flatten();
        ended.is_some()
    });
    if ended.is_none() {
        let _ = child.kill();
    }
    let Output { status, stdout, .. } = child.wait_with_output().ok()?;
    status
        .success()
        .then(|| String::from_utf8_lossy(&stdout).into_owned())
}

/// A command that asks nothing and says nothing, and whether it ended well.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The last lines that a program wrote to its log.
pub(crate) fn log_tail(log: &Path) -> String {
    let log = fs::read(log).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let mut lines: Vec<_> = log.trim_end().lines().rev().take(LOG_LINES).collect();
    lines.reverse();
    lines.join("\n")
}

/// Cargo, without what it tells the programs that it runs itself, such as this one.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let is_ours = |prefix| name.to_str().is_some_and(|name| name.starts_with(prefix));
        if is_ours("CARGO_PKG_") || is_ours("CARGO_MANIFEST_") || is_ours("CARGO_BIN_") {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// The folder that cargo builds into, from the root of the checkout.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_says_nothing() {
        let within = Duration::from_secs(30);
        let said = output_within(within, Command::new("echo").arg("yes"));
        assert_eq!(said.as_deref(), Some("yes\n"));
        assert_eq!(output_within(within, &mut Command::new("false")), None);
        let slow = output_within(Duration::ZERO, Command::new("sleep").arg("600"));
        assert_eq!(slow, None);
    }
}
