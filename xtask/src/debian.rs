//! Debian packages: installed as root, or with sudo that asks nothing.

use crate::program;
use rustix::process::geteuid;
use std::{
    env,
    fs::File,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// While this file says no, the installation of a package starts no daemon.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// `true` if packages may be installed, and could be.
pub(crate) fn can_install() -> bool {
    env::var_os("REPLYBUS_NO_INSTALL").is_none_or(|set| set != "1")
        && program::is_installed("apt-get")
        && (geteuid().is_root() || program::succeeds(&mut as_root("true")))
}

/// Installs packages, without starting what is in them, and writes to a log.
///
/// # Errors
/// They could not be installed; the log says why.
pub(crate) fn install(packages: &[&str], log: &Path) -> anyhow::Result<()> {
    let _quiet = NoDaemons::begin();
    let install = || {
        let mut options = vec!["install", "--no-install-recommends"];
        options.extend(packages);
        apt(&options, log)
    };
    // The second try is with fresh lists.
    if install().is_err() {
        apt(&["update"], log)?;
        install()?;
    }
    Ok(())
}

fn apt(options: &[&str], log: &Path) -> anyhow::Result<()> {
    let log = File::options().create(true).append(true).open(log)?;
    let status = as_root("env")
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-qq"])
        .args(["-o", "DPkg::Lock::Timeout=300"])
        .args(options)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()?;
    anyhow::ensure!(status.success(), "apt-get failed");
    Ok(())
}

fn as_root(program: &str) -> Command {
    if geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

/// A time in which no daemon is started, until it is dropped.
struct NoDaemons {
    made: bool,
}

impl NoDaemons {
    fn begin() -> Self {
        if Path::new(POLICY).exists() {
            return Self { made: false };
        }
        let write = || {
            let mut tee = as_root("tee")
                .arg(POLICY)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()?;
            if let Some(mut policy) = tee.stdin.take() {
                policy.write_all(b"#!/bin/sh\nexit 101\n")?;
            }
            tee.wait()
        };
        // Without it a daemon starts that nobody asked for, and that is all.
        let made = write().is_ok_and(|written| written.success())
            && program::succeeds(as_root("chmod").args(["755", POLICY]));
        Self { made }
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if self.made {
            program::succeeds(as_root("rm").args(["-f", POLICY]));
        }
    }
}
