//! The command-line tool of replybus: who looks after a system sees what is served, calls and emits
//! by hand, and deals with what was given up.
//!
//! The binary `replybus` is [`run`]; this library is behind it for tests, and promises nothing else.

mod args;
mod bench;
mod bus;
mod call;
mod check;
mod contracts;
mod control;
mod events;
mod explain;
mod failure;
mod init;
mod jobs;
mod letters;
mod manual;
mod output;
mod rights;
mod schedule;
mod services;
mod settings;
mod top;
mod watch;

use args::{Command, Program};
use clap::Parser as _;
use failure::Failure;
use output::Output;
use std::{io::Write as _, process::ExitCode};

/// Reads the arguments of the process, does what they ask for, and says how it went:
///
/// | code | |
/// |---|---|
/// | 0 | done |
/// | 1 | not done: why is on stderr, in a line |
/// | 2 | the arguments are none |
/// | 3 | the service answered with an error of its own, which is on stdout |
/// | 130 | interrupted |
#[must_use]
pub fn run() -> ExitCode {
    let program = Program::parse();
    let output = Output::new(program.output);
    let done = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => {
            let done = runtime.block_on(command(program, &output));
            // A thread that waits for stdin would be waited for.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Failure::because("no runtime can be started", error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(text) = failure.text() {
                // Where nobody reads there is nobody to tell.
                let _ = writeln!(std::io::stderr(), "replybus: {text}");
            }
            ExitCode::from(failure.code())
        }
    }
}

async fn command(program: Program, output: &Output) -> Result<(), Failure> {
    let servers = program.servers;
    match program.command {
        Command::Services(asked) => services::run(&servers, asked, output).await,
        Command::Call(asked) => call::run(&servers, asked, output).await,
        Command::Ticket(asked) => call::run_ticket(&servers, asked, output).await,
        Command::Emit(asked) => events::emit(&servers, asked, output).await,
        Command::Listen(asked) => events::listen(&servers, asked, output).await,
        Command::Dlq(asked) => letters::run(&servers, asked, output).await,
        Command::Ping(asked) => control::ping(&servers, asked, output).await,
        Command::Stats(asked) => control::stats(&servers, asked, output).await,
        Command::Drain(asked) => control::drain(&servers, asked, output).await,
        Command::Schedule(asked) => schedule::run(&servers, asked, output).await,
        Command::Jobs(asked) => jobs::run(&servers, asked, output).await,
        Command::Explain(asked) => explain::run(&servers, asked, output).await,
        Command::Check(asked) => check::run(&servers, asked, output).await,
        Command::Rights(asked) => rights::run(&servers, &asked, output),
        Command::Contracts(asked) => contracts::run(&servers, &asked, output).await,
        Command::Init(asked) => init::run(&asked, output),
        Command::Bench(asked) => bench::run(&servers, asked, output).await,
        Command::Top(asked) => top::run(&servers, asked, output).await,
        Command::Watch(asked) => watch::run(&servers, asked, output).await,
        Command::Completions(asked) => manual::completions(&asked),
        Command::Man(asked) => manual::man(&asked),
    }
}
