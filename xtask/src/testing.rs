//! Everything that must work: each example once, then all tests, against real servers and in a
//! real browser.

mod results;

use self::results::Results;
use crate::{
    chromium, examples, faketime, interrupt,
    process::LOOK_EVERY,
    program::cargo,
    services::{self, Origin, Server},
};
use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    env, fmt,
    io::{self, BufRead, BufReader, IsTerminal as _, Write},
    num::NonZero,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

/// The command line after `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    origin: Origin,
    /// Only `cargo test` with these arguments, rather than examples and all tests
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

#[cfg(test)]
impl Arguments {
    pub(crate) fn for_cargo(&self) -> &[String] {
        &self.arguments
    }
}

/// Runs it, on servers that are found, or started and gone at the end.
///
/// # Errors
/// Something fails. All that was run has been by then.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let began = Instant::now();
    let holder = Some(std::process::id());
    let ran = services::up(arguments.origin, &Server::NEEDED, holder).and_then(|()| {
        let environment = services::environment(arguments.origin, &Server::NEEDED)?;
        test(&arguments.arguments, &environment)
    });
    let stopped = services::down(arguments.origin, &Server::NEEDED, holder);
    let verdict = ran?;
    let seconds = began.elapsed().as_secs();
    // A reader of the end of a long log finds there what failed.
    for failure in &verdict.results.failures {
        println!("failed: {}", failure.name);
        for line in &failure.output {
            println!("    {line}");
        }
    }
    println!("test: {verdict}; {seconds} s");
    if !verdict.is_good() {
        bail!("not everything works");
    }
    stopped
}

fn test(arguments: &[String], environment: &[(&str, String)]) -> anyhow::Result<Verdict> {
    let mut examples = Examples::Skipped;
    let mut everything = vec!["--workspace".to_owned(), "--all-features".to_owned()];
    if arguments.is_empty() {
        chromium::up()?;
        faketime::up()?;
        examples = match examples::run_all(&[], environment) {
            Ok(()) => Examples::RanWell,
            Err(error) => {
                eprintln!("test: {error:#}");
                Examples::Failed
            }
        };
        interrupt::check()?;
    } else {
        arguments.clone_into(&mut everything);
    }
    let mut command = cargo();
    command
        // A failure hides no other: what is broken is known after one run.
        .args(["test", "--locked", "--no-fail-fast"])
        .args(everything)
        .current_dir(crate::checkout())
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .env("BUS_REQUIRE_LIVE", "1");
    let is_unset = |variable| env::var_os(variable).is_none();
    // Behind the pipe cargo would not see a terminal.
    if io::stdout().is_terminal() && is_unset("CARGO_TERM_COLOR") {
        command.env("CARGO_TERM_COLOR", "always");
    }
    // Most of those that take long wait for a server that starts, dies or comes back.
    if is_unset("RUST_TEST_THREADS") {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        command.env("RUST_TEST_THREADS", (2 * processors).to_string());
    }
    let (passed, results) = passes_on(command)?;
    Ok(Verdict {
        passed,
        results,
        examples,
    })
}

/// Runs a command, passes on what it prints, and adds up the results in it.
fn passes_on(mut command: Command) -> anyhow::Result<(bool, Results)> {
    // One pipe for both, so that lines keep their order.
    let (reader, writer) = io::pipe()?;
    command
        // A group of its own, so that all of it can be ended.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command.spawn().context("can't start cargo")?;
    // It holds ends of the pipe, which would keep its reader waiting.
    drop(command);
    thread::scope(|scope| {
        let reading = scope.spawn(|| pass_on(BufReader::new(reader), io::stdout().lock()));
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if let Err(interrupted) = interrupt::check() {
                end(&mut child);
                return Err(interrupted);
            }
            thread::sleep(LOOK_EVERY);
        };
        let results = reading.join();
        let results = results.map_err(|_| anyhow::anyhow!("what cargo prints can't be read"))??;
        Ok((status.success(), results))
    })
}

fn pass_on(mut reader: impl BufRead, mut writer: impl Write) -> io::Result<Results> {
    let mut results = Results::default();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        writer.write_all(&line)?;
        writer.flush()?;
        results.add(&String::from_utf8_lossy(&line));
        line.clear();
    }
    results.end();
    Ok(results)
}

/// Asks a command and all that it started to end, and waits until it has.
fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        // It may have ended meanwhile.
        let _ = kill_process_group(group, Signal::TERM);
    }
    let _ = child.wait();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Examples {
    Skipped,
    RanWell,
    Failed,
}

/// The outcome of it all.
#[derive(Debug)]
struct Verdict {
    passed: bool,
    results: Results,
    examples: Examples,
}

impl Verdict {
    fn is_good(&self) -> bool {
        self.passed && self.examples != Examples::Failed
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tests = if self.passed { "passed" } else { "failed" };
        let examples = match self.examples {
            Examples::Skipped => "skipped",
            Examples::RanWell => "all ran",
            Examples::Failed => "failed",
        };
        let Results {
            passed,
            failed,
            ignored,
            ..
        } = self.results;
        write!(
            f,
            "tests {tests}: {passed} passed, {failed} failed, {ignored} ignored; \
             examples: {examples}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_example_is_a_failure() {
        let verdict = |passed, examples| Verdict {
            passed,
            results: Results::default(),
            examples,
        };
        assert!(verdict(true, Examples::Skipped).is_good());
        assert!(!verdict(true, Examples::Failed).is_good());
        assert!(!verdict(false, Examples::RanWell).is_good());
    }
}
