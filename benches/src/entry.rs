//! The way into a program that measures.
#![allow(
    clippy::print_stderr,
    reason = "the figures go to standard output, all else to standard error"
)]

use anyhow::Result;
use clap::Parser;
use std::{env, process::ExitCode};

/// Runs `measure` with the arguments that the program was started with, if it was started to
/// measure: `cargo bench` says `--bench`; test runners, which only want to see that it starts, don't.
pub fn run<A: Parser>(measure: impl FnOnce(&A) -> Result<()>) -> ExitCode {
    let is_given = |wanted: &str| env::args().any(|given| given == wanted);
    if !is_given("--bench") || is_given("--test") {
        eprintln!("nothing measured: run it with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    match measure(&A::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
