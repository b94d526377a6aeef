//! Each example once.
//!
//! `account_server` runs until it is told to stop, so it is started in the background,
//! `account_client` talks to it, and then it is asked to stop.

use crate::{
    interrupt,
    process::{LOOK_EVERY, Process},
    program::cargo,
    services::{self, Origin, Server},
};
use anyhow::{Context as _, bail, ensure};
use rustix::process::Signal;
use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// The command line after `cargo xtask examples`.
#[derive(Debug, clap::Args)]
pub(crate) struct Chosen {
    /// All of them, unless some are named
    names: Vec<String>,
}

/// An example ends within this.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// `account_server` serves within this.
const START_LIMIT: Duration = Duration::from_secs(30);
/// `account_server` stops within this.
const STOP_LIMIT: Duration = Duration::from_secs(15);

const SERVER: &str = "account_server";
const CLIENT: &str = "account_client";

fn say(message: impl std::fmt::Display) {
    println!("examples: {message}");
}

/// Builds the examples and runs them, on the servers in `AMQP_URL` and `REDIS_URL`. If one of
/// these is not set, servers are found or started for the time of the run.
///
/// # Errors
/// One fails, or takes too long. Which ones is printed.
pub(crate) fn run(chosen: &Chosen) -> anyhow::Result<()> {
    let servers = [Server::RabbitMq, Server::Redis];
    let given = |server: &Server| env::var(server.variable()).is_ok_and(|url| !url.is_empty());
    if servers.iter().all(given) {
        return run_all(&chosen.names, &[]);
    }
    let holder = Some(std::process::id());
    let ran = services::up(Origin::default(), &servers, holder)
        .and_then(|()| services::environment(Origin::default(), &servers))
        .and_then(|environment| run_all(&chosen.names, &environment));
    ran.and(services::down(Origin::default(), &servers, holder))
}

/// Builds the examples and runs those that are named, or all, with these variables set.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_all(names: &[String], environment: &[(&str, String)]) -> anyhow::Result<()> {
    let executables = build()?;
    let name_of = |executable: &Path| {
        let name = executable.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let is_pair = |name: &str| name == SERVER || name == CLIENT;
    let mut ran = 0;
    let mut failed = Vec::new();
    for executable in &executables {
        let name = name_of(executable);
        if is_wanted(&name) && !is_pair(&name) {
            ran += 1;
            if let Err(error) = run_one(executable, environment) {
                say(format_args!("{name} {error:#}"));
                failed.push(name);
            }
            interrupt::check()?;
        }
    }
    if is_wanted(SERVER) || is_wanted(CLIENT) {
        ran += 2;
        let built = |name: &str| {
            let found = executables.iter().find(|built| name_of(built) == name);
            found.with_context(|| format!("{name} is not built"))
        };
        if let Err(error) = run_pair(built(SERVER)?, built(CLIENT)?, environment) {
            say(format_args!("{SERVER} and {CLIENT}: {error:#}"));
            failed.push(format!("{SERVER} and {CLIENT}"));
        }
        interrupt::check()?;
    }
    ensure!(failed.is_empty(), "examples failed: {}", failed.join(", "));
    ensure!(ran > 0, "there is no example of that name");
    say(format_args!("all {ran} ran well"));
    Ok(())
}

/// The examples' executables. Built as the tests are, so that nothing is built twice.
fn build() -> anyhow::Result<Vec<PathBuf>> {
    let mut building = cargo()
        .args(["build", "--locked", "--workspace", "--all-features"])
        .args(["--examples", "--message-format", "json-render-diagnostics"])
        .current_dir(crate::checkout())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let messages = building.stdout.take().context("cargo says nothing")?;
    let messages: Vec<_> = BufReader::new(messages).lines().collect::<Result<_, _>>()?;
    ensure!(building.wait()?.success(), "the examples do not build");
    let executables = messages.iter().filter_map(|message| executable_in(message));
    let mut executables: Vec<_> = executables.collect();
    executables.sort();
    Ok(executables)
}

/// The executable that a message of cargo's is about, if it is an example.
fn executable_in(message: &str) -> Option<PathBuf> {
    let (_, executable) = message.split_once(r#""executable":""#)?;
    let (executable, _) = executable.split_once('"')?;
    message
        .contains(r#""kind":["example"]"#)
        .then(|| executable.into())
}

fn run_one(executable: &Path, environment: &[(&str, String)]) -> anyhow::Result<()> {
    say(executable.file_name().unwrap_or_default().to_string_lossy());
    let mut example = Example::start(executable, environment, None)?;
    let Some(status) = example.ended_within(TIME_LIMIT)? else {
        bail!("did not end within {} s", TIME_LIMIT.as_secs());
    };
    ensure!(status.success(), "failed: {status}");
    Ok(())
}

fn run_pair(server: &Path, client: &Path, environment: &[(&str, String)]) -> anyhow::Result<()> {
    say(format_args!("{SERVER}, in the background"));
    let output = env::temp_dir().join(format!("replybus-{SERVER}-{}", std::process::id()));
    let ran = run_client_beside(server, client, environment, &output);
    if let Ok(said) = fs::read_to_string(&output) {
        say(format_args!("{SERVER} said:\n{}", said.trim_end()));
        fs::remove_file(output)?;
    }
    ran
}

fn run_client_beside(
    server: &Path,
    client: &Path,
    environment: &[(&str, String)],
    output: &Path,
) -> anyhow::Result<()> {
    let mut serving = Example::start(server, environment, Some(File::create(output)?))?;
    let end = Instant::now() + START_LIMIT;
    let serves = || fs::read_to_string(output).is_ok_and(|said| said.contains("serving"));
    while !serves() {
        let ended = serving.ended()?.is_some();
        ensure!(!ended && Instant::now() < end, "{SERVER} does not serve");
        interrupt::check()?;
        sleep(LOOK_EVERY);
    }
    let ran = run_one(client, environment);
    serving.signal(Signal::TERM);
    let Some(status) = serving.ended_within(STOP_LIMIT)? else {
        bail!("{SERVER} did not stop within {} s", STOP_LIMIT.as_secs());
    };
    ensure!(status.success(), "{SERVER} failed: {status}");
    ran
}

/// An example that runs. Dropped, it is killed.
struct Example(Child);

impl Example {
    fn start(
        executable: &Path,
        environment: &[(&str, String)],
        output: Option<File>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(executable);
        command
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        if let Some(output) = output {
            command.stdout(output.try_clone()?).stderr(output);
        }
        Ok(Self(command.spawn()?))
    }

    fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    fn ended_within(&mut self, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let end = Instant::now() + limit;
        loop {
            interrupt::check()?;
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            sleep(LOOK_EVERY);
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = Process::of(self.0.id()) {
            process.signal(signal);
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_examples_are_run() {
        let message = |kind: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"x"}},"executable":{executable},"fresh":true}}"#
            )
        };
        let example = message("example", r#""/target/examples/hello""#);
        assert_eq!(
            executable_in(&example),
            Some("/target/examples/hello".into())
        );
        for other in [
            message("bin", r#""/target/bank""#),
            message("lib", "null"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ] {
            assert_eq!(executable_in(&other), None);
        }
    }
}
