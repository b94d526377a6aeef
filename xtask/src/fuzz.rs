//! Fuzzing: `fuzz/`, built so that libFuzzer sees which way its code goes.

use crate::{
    interrupt,
    process::LOOK_EVERY,
    program::{cargo, output_within, target},
};
use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread::sleep,
    time::Duration,
};

/// What cargo-fuzz gives the compiler, which any toolchain takes; the code is tested as it is in
/// tests, with what only they check.
const FLAGS: [&str; 9] = [
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// What one input may take: a decoder that takes seconds of a few KiB, or a thousand times as much
/// memory, is found like one that panics. All lengths are tried from the beginning, for what is short is
/// no message.
const BOUNDS: [&str; 4] = [
    "-timeout=10",
    "-rss_limit_mb=1024",
    "-max_len=4096",
    "-len_control=0",
];

/// The command line after `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Names of targets; all of them if there is none
    targets: Vec<String>,
    /// For so long each
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Looks for wrong uses of memory as well, which only dependencies can make; takes a nightly
    /// toolchain
    #[arg(long)]
    address_sanitizer: bool,
}

/// Builds the targets and runs each for its time, or until it finds something.
///
/// # Errors
/// They don't build, one is none, or one finds something: then it says how to see that again.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let checkout = crate::checkout();
    let known = targets(&checkout)?;
    let chosen = match arguments.targets.is_empty() {
        true => &known,
        false => &arguments.targets,
    };
    for name in chosen {
        ensure!(
            known.contains(name),
            "no target is called {name}: {}",
            known.join(", ")
        );
    }
    let host = host()?;
    let folder = checkout.join(target()).join("fuzz");
    build(arguments, &checkout, &folder, &host)?;
    let program = folder.join(host).join("release/replybus-fuzz");
    let mut failed = Vec::new();
    for name in chosen {
        println!("fuzzing {name} for {} s", arguments.seconds);
        if !fuzz(&program, &checkout, &folder, name, arguments.seconds)?.success() {
            failed.push(name.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "found something: {}. What it fails of is in {}; \
         `cargo run -p replybus-fuzz -- TARGET FILE` runs it again, and it belongs into \
         fuzz/corpus/TARGET, under a name that says what it is",
        failed.join(", "),
        folder.join("found").display(),
    )
}

/// Each has a corpus.
fn targets(checkout: &Path) -> anyhow::Result<Vec<String>> {
    let folders = fs::read_dir(checkout.join("fuzz/corpus")).context("fuzz/corpus")?;
    let names = folders.map(|folder| Ok(folder?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<anyhow::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// The compiler's name for this machine. Named, so that neither build scripts nor macros are built to
/// be fuzzed.
fn host() -> anyhow::Result<String> {
    let said = output_within(Duration::from_secs(60), Command::new("rustc").arg("-vV"));
    let said = said.context("rustc does not say what it compiles for")?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc compiles for no host")?.to_owned())
}

fn build(arguments: &Arguments, checkout: &Path, folder: &Path, host: &str) -> anyhow::Result<()> {
    let (mut build, flags) = if arguments.address_sanitizer {
        let mut nightly = Command::new("rustup");
        nightly
            .args(["run", "nightly", "cargo"])
            .env_remove("RUSTC");
        (nightly, format!("{} -Zsanitizer=address", FLAGS.join(" ")))
    } else {
        (cargo(), FLAGS.join(" "))
    };
    build
        .args(["build", "--release", "--locked", "-p", "replybus-fuzz"])
        .args(["--target", host, "--target-dir"])
        .arg(folder)
        .env("RUSTFLAGS", flags)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    let built = build.current_dir(checkout).stdin(Stdio::null()).status()?;
    interrupt::check()?;
    ensure!(built.success(), "the targets do not build");
    Ok(())
}

/// Runs a target. What it learns is kept for the next time, beside the corpus of the repository.
fn fuzz(
    program: &Path,
    checkout: &Path,
    folder: &Path,
    name: &str,
    seconds: u32,
) -> anyhow::Result<ExitStatus> {
    let learned: PathBuf = folder.join("learned").join(name);
    let found = folder.join("found");
    for folder in [&learned, &found] {
        fs::create_dir_all(folder)?;
    }
    let mut fuzzing = Command::new(program)
        .args(BOUNDS)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{name}-", found.display()))
        .arg("-print_final_stats=1")
        .arg(learned)
        .arg(checkout.join("fuzz/corpus").join(name))
        .env("REPLYBUS_FUZZ_TARGET", name)
        .stdin(Stdio::null())
        .spawn()?;
    loop {
        if let Some(ended) = fuzzing.try_wait()? {
            interrupt::check()?;
            return Ok(ended);
        }
        if interrupt::check().is_err() {
            let pid = i32::try_from(fuzzing.id()).ok().and_then(Pid::from_raw);
            // A terminal has told it as well; a second time does no harm.
            let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        }
        sleep(LOOK_EVERY);
    }
}
