//! The chores of this repository: servers to test against, the bank on real servers, faults, fuzzing,
//! examples, tests. `cargo xtask help` lists them; the scripts in `scripts/` are other names for them.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to who runs it"
)]

mod bank;
mod chaos;
mod chromium;
mod debian;
mod examples;
mod faketime;
mod fuzz;
mod interrupt;
mod probe;
mod process;
mod program;
mod random;
mod services;
mod testing;

use clap::{Parser, Subcommand};
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", about = "The chores of this repository")]
struct CommandLine {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Servers that tests and examples talk to: RabbitMQ, Redis, PostgreSQL
    #[command(subcommand, after_help = SERVICES)]
    Services(services::Command),
    /// The bank on real servers, each service a process of its own
    #[command(subcommand, after_help = BANK)]
    Bank(bank::Command),
    /// The bank and the shop under load while everything below them fails, and an audit afterwards
    #[command(after_help = CHAOS)]
    Chaos(chaos::Arguments),
    /// Builds the examples and runs each one once; all must end well, in bounded time
    Examples(examples::Chosen),
    /// Fuzzes what takes apart the bytes that come from outside
    #[command(after_help = FUZZ)]
    Fuzz(fuzz::Arguments),
    /// Runs everything that must work: each example once, then all tests
    Test(testing::Arguments),
    /// A browser for the tests of the web page, installed if there is none
    #[command(subcommand, after_help = CHROMIUM)]
    Chromium(chromium::Command),
}

const SERVICES: &str = "\
For each server `up` takes the first of these that works:
  1. the address in AMQP_URL, REDIS_URL, DATABASE_URL or NATS_URL, where it is set
  2. the server that an earlier `up` of this checkout started
  3. the server on the default port of this machine
  4. a private one on free ports, from programs that are installed
  5. the same, after installing the Debian package (as root, or with sudo)
  6. a container, if docker or podman runs

With `--servers trixie` it takes none of these, but starts the servers of Debian 13 (RabbitMQ 4.0,
Redis 8.0 or Valkey 8.1, PostgreSQL 17) on free ports, fetched by debootstrap from the mirror that
apt has; the other commands are about those then. It takes root. Nothing is installed on the machine
but debootstrap, and nothing is left mounted: `rm -r target/servers` takes it all away.

Settings:
  REPLYBUS_PRIVATE=1       skip 1 and 3: only servers that `up` itself starts
  REPLYBUS_NO_INSTALL=1    skip 5
  REPLYBUS_SERVICES_DIR=D  keep data and logs in D/replybus-services (without it, in a temporary
                           directory of this checkout)
  REPLYBUS_DEBIAN_MIRROR=U fetch from U, not from apt's mirror";

const BANK: &str = "\
What runs already is left alone. Keys, the administrator's secret and logs are kept for the next
`up`; so is the database, unless its server was started by `up` and is gone with it.

Settings:
  AMQP_URL, REDIS_URL, DATABASE_URL
                     servers to use; see `cargo xtask services help`. A DATABASE_URL is used as it
                     is; otherwise the database `bank` is made
  HTTP_ADDR          the gateway's address (127.0.0.1:8080)
  WS_ADDR            the notification service's address (127.0.0.1:8081)
  ADMIN_SECRET       what X-Admin-Secret must be; drawn if it is not set
  BANK_LIVE_DIR=D    keep keys, logs and process ids in D (without it, in a temporary directory of
                     this checkout)
  BUS_NAMESPACE, SESSION_TTL_SECONDS, DATABASE_CONNECTIONS, LOG_FORMAT and RUST_LOG reach the
  services; banking/README.md says what they mean";

const CHAOS: &str = "\
The program's arguments:
  --minutes N              for so long (2)
  --seed N                 repeats the choice of faults; drawn and printed if it is not given
  --rate N                 requests a second (60)
  --logs DIR               leaves there what the programs wrote
  --soak                   nothing fails, and what programs, Redis and queues take must not grow

Servers and programs are private, and gone at the end. chaos/README.md says what fails, and what
must be true afterwards.";

const FUZZ: &str = "\
Each target begins with its files in fuzz/corpus, and with what earlier runs learned, which is in
target/fuzz. libFuzzer is compiled for it, which takes a C++ compiler; cargo-fuzz is not needed, nor
is a nightly toolchain, unless wrong uses of memory are looked for. fuzz/README.md says which decoder
is covered by which target.";

const CHROMIUM: &str = "\
Both Chromium and the chromedriver of the same version are needed. For each of the two `up` takes
the first of these that works:
  1. the program that CHROMIUM or CHROMEDRIVER names, where it is set
  2. one that is installed, in the PATH or in a usual place
  3. the same, after installing the Debian package (as root, or with sudo)

Settings:
  REPLYBUS_NO_INSTALL=1    skip 3";

fn main() -> ExitCode {
    let chore = CommandLine::parse_from(for_cargo(env::args_os().collect())).chore;
    let done = interrupt::listen().and_then(|()| match &chore {
        Chore::Services(command) => services::run(command),
        Chore::Bank(command) => bank::run(command),
        Chore::Chaos(arguments) => chaos::run(arguments),
        Chore::Examples(chosen) => examples::run(chosen),
        Chore::Fuzz(arguments) => fuzz::run(arguments),
        Chore::Test(arguments) => testing::run(arguments),
        Chore::Chromium(command) => chromium::run(command),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            // As a shell says it of what a signal ended.
            ExitCode::from(if interrupt::check().is_err() { 130 } else { 1 })
        }
    }
}

/// The command line, with a second `--` where one is the first argument of `test`, or the first after
/// the choice of servers: clap takes one for its own, and cargo is to have the other.
fn for_cargo(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_none_or(|chore| chore != "test") {
        return arguments;
    }
    let mut first = 2;
    while let Some(argument) = arguments.get(first).and_then(|argument| argument.to_str()) {
        first += match argument {
            "--servers" | "--store" => 2,
            "--" => {
                arguments.insert(first, "--".into());
                break;
            }
            joined
                if ["--servers=", "--store="]
                    .iter()
                    .any(|own| joined.starts_with(own)) =>
            {
                1
            }
            _ => break,
        };
    }
    arguments
}

/// The directory of this checkout.
fn checkout() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_test_has_its_arguments_as_they_are() {
        for arguments in [
            &["-p", "replybus", "tests"][..],
            &["--", "--nocapture", "a_name"],
            &["-p", "replybus", "--", "--nocapture"],
            &["a_name"],
            &[],
        ] {
            let line = ["xtask", "test"].iter().chain(arguments);
            let line = line.map(OsString::from).collect();
            let read = CommandLine::parse_from(for_cargo(line)).chore;
            let Chore::Test(read) = read else {
                panic!("{read:?}");
            };
            assert_eq!(read.for_cargo(), arguments);
        }
    }

    #[test]
    fn servers_can_be_chosen_before_what_is_for_cargo() {
        for (line, given) in [
            (
                "--servers trixie --store valkey -p bank -- --servers",
                "-p bank -- --servers",
            ),
            ("--servers=trixie -- --nocapture", "-- --nocapture"),
        ] {
            let line = ["xtask", "test"].into_iter().chain(line.split(' '));
            let line = line.map(OsString::from).collect();
            let read = CommandLine::parse_from(for_cargo(line)).chore;
            let Chore::Test(read) = read else {
                panic!("{read:?}");
            };
            assert_eq!(read.for_cargo().join(" "), given);
        }
        let alone = ["xtask", "test", "--store", "valkey"];
        let refused = CommandLine::try_parse_from(alone);
        assert!(refused.is_err(), "a store of no release");
    }
}
