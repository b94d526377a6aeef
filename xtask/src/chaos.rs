//! The bank and the shop under faults: `chaos/`, built as it is to be run.

use crate::{
    interrupt,
    process::LOOK_EVERY,
    program::{cargo, target},
};
use anyhow::{bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    process::{Command, Stdio},
    thread::sleep,
};

/// The command line after `cargo xtask chaos`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Those of the program: `cargo xtask chaos -- --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds the bank, the shop and who breaks them (release), and runs the last to its end. Told to
/// end, it lets that one clean up.
///
/// # Errors
/// Something does not build, or something is wrong at the end.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let checkout = crate::checkout();
    let mut build = cargo();
    build
        .args(["build", "--release", "--locked", "--bins"])
        .args(["-p", "bank", "-p", "shop", "-p", "chaos"]);
    let built = build.current_dir(&checkout).stdin(Stdio::null()).status()?;
    interrupt::check()?;
    ensure!(built.success(), "the programs do not build");
    let program = checkout.join(target()).join("release/chaos");
    let mut chaos = Command::new(program)
        .args(&arguments.arguments)
        .stdin(Stdio::null())
        .spawn()?;
    let mut is_told = false;
    let ended = loop {
        if let Some(ended) = chaos.try_wait()? {
            break ended;
        }
        if interrupt::check().is_err() && !is_told {
            is_told = true;
            let pid = i32::try_from(chaos.id()).ok().and_then(Pid::from_raw);
            // A terminal has told it as well; a second time does no harm.
            let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        }
        sleep(LOOK_EVERY);
    };
    interrupt::check()?;
    if !ended.success() {
        bail!("not everything that was promised is true");
    }
    Ok(())
}
