//! libfaketime, by which tests let a process see a clock that jumps.

use crate::{debian, program};
use anyhow::Context as _;
use replybus_testkit::servers::WallClock;
use std::{fmt, path::Path};

/// The Debian package that it is in.
const PACKAGE: &str = "faketime";

fn say(message: impl fmt::Display) {
    eprintln!("faketime: {message}");
}

/// Makes sure that it is there, where that can be. Where it is not the tests of clocks are skipped.
///
/// # Errors
/// It may be installed here, and could not be. It says why.
pub(crate) fn up() -> anyhow::Result<()> {
    let find = WallClock::new;
    let Err(missing) = find() else { return Ok(()) };
    if !debian::can_install() {
        say(format_args!(
            "{missing}; tests of clocks that jump are skipped"
        ));
        return Ok(());
    }
    say(format_args!("installing the package {PACKAGE}"));
    let log = crate::checkout().join("target/faketime.log");
    if let Err(failed) = debian::install(&[PACKAGE], &log) {
        let log = program::log_tail(Path::new(&log));
        return Err(failed.context(format!("apt-get could not install {PACKAGE}:\n{log}")));
    }
    find().context("it is installed, and not found").map(drop)
}
