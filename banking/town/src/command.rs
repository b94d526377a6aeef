//! Programs of the bank that end by themselves: what they say of their settings.

use std::{path::Path, process::Command};

/// Runs a program with this environment and these arguments, and nothing else that says what it is
/// to do; returns whether it succeeded, and what it wrote.
///
/// # Panics
/// It can't be started, or writes what is no text.
#[must_use]
pub fn run_in(
    environment: &[(&str, &str)],
    program: impl AsRef<Path>,
    arguments: &[&str],
) -> (bool, String) {
    let mut command = Command::new(program.as_ref());
    command.env_clear().envs(environment.iter().copied());
    let ended = command.args(arguments).output();
    let ended = ended.unwrap_or_else(|error| panic!("{}: {error}", program.as_ref().display()));
    let text = [ended.stdout, ended.stderr].concat();
    let text = String::from_utf8(text).unwrap_or_else(|error| panic!("{error}"));
    (ended.status.success(), text)
}

/// Asserts that a program refuses to start with these arguments, and says why.
///
/// # Panics
/// It does not.
#[track_caller]
pub fn assert_refused(program: impl AsRef<Path>, arguments: &[&str], reason: &str) {
    let (success, text) = run_in(&[], program, arguments);
    assert!(!success, "{arguments:?} were taken");
    assert!(text.contains(reason), "{arguments:?}: {text}");
}

/// Asserts that the help of a program names settings.
///
/// # Panics
/// One is missing.
#[track_caller]
pub fn assert_help_names(program: impl AsRef<Path>, settings: &[&str]) {
    let (success, text) = run_in(&[], program, &["--help"]);
    assert!(success, "{text}");
    for setting in settings {
        assert!(text.contains(setting), "{setting} is missing:\n{text}");
    }
}
