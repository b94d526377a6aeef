//! What shells and `man` know of the program.

use crate::{args::Program, failure::Failure};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Print completions for a shell
///
/// For example: replybus completions bash > /etc/bash_completion.d/replybus
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print manual pages
///
/// One page for the program and one for each of its commands.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write them into this directory, instead of the program's own to stdout
    directory: Option<PathBuf>,
}

pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Program::command(), "replybus", &mut text);
    Ok(io::Write::write_all(&mut io::stdout().lock(), &text)?)
}

pub(crate) fn man(args: &ManArgs) -> Result<(), Failure> {
    let mut program = Program::command();
    // Pages of subcommands have their whole names.
    program.build();
    let Some(directory) = &args.directory else {
        return Ok(io::Write::write_all(
            &mut io::stdout().lock(),
            &page(&program)?,
        )?);
    };
    let refused = |error| Failure::because(&directory.display().to_string(), error);
    fs::create_dir_all(directory).map_err(refused)?;
    write(directory, &program)
}

fn write(directory: &Path, command: &clap::Command) -> Result<(), Failure> {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    let path = directory.join(format!("{name}.1"));
    let written = fs::write(&path, page(command)?);
    written.map_err(|error| Failure::because(&path.display().to_string(), error))?;
    let mut commands = command
        .get_subcommands()
        .filter(|of| of.get_name() != "help");
    commands.try_for_each(|of| write(directory, of))
}

fn page(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    Ok(text)
}
