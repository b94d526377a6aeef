//! `replybus`: see its `--help`, and docs/cli.md.

use std::process::ExitCode;

fn main() -> ExitCode {
    replybus_cli::run()
}
