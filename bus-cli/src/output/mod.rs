//! What is printed: lines and tables for people, JSON for programs.

mod confirm;
mod table;
mod time;

pub(crate) use confirm::confirm;
pub(crate) use table::Table;
pub(crate) use time::{
    ago, clock, clock_millis, duration, measured, millis, parse_duration, parse_moment,
};

use crate::failure::Failure;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::io::{self, IsTerminal as _, Write as _};

/// How to print.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,

    /// When to use colours; NO_COLOR turns them off as well
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Colors::Auto)]
    color: Colors,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colors {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Where everything is printed.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) colors: bool,
}

impl Output {
    pub(crate) fn new(args: OutputArgs) -> Self {
        let is_wanted = || std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            json: args.json,
            colors: match args.color {
                Colors::Auto => io::stdout().is_terminal() && is_wanted(),
                Colors::Always => true,
                Colors::Never => false,
            },
        }
    }

    /// Prints a line.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.write_all(b"\n")?;
        Ok(stdout.flush()?)
    }

    /// Prints a value as JSON: several lines on a terminal, one elsewhere.
    pub(crate) fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Failure> {
        let text = if io::stdout().is_terminal() {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        self.json_text(text)
    }

    /// Prints a value as one line of JSON.
    pub(crate) fn json_line<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Failure> {
        self.json_text(serde_json::to_string(value))
    }

    fn json_text(&self, text: serde_json::Result<String>) -> Result<(), Failure> {
        let text = text.map_err(|error| Failure::because("it is no JSON", error))?;
        self.line(&text)
    }

    /// A word in a colour, if there are any.
    pub(crate) fn paint(&self, color: Color, text: &str) -> String {
        if self.colors {
            format!("\u{1b}[{}m{text}\u{1b}[0m", color as u8)
        } else {
            text.to_owned()
        }
    }
}

/// A colour, by its number on a terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Color {
    Bold = 1,
    Red = 31,
    Green = 32,
    Yellow = 33,
}

/// A text of somebody else, as a terminal may show it: what would move its cursor is left out.
pub(crate) fn shown(text: &str) -> String {
    text.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_foreign_text_does_not_steer_the_terminal() {
        assert_eq!(shown("a\u{1b}[2J\nb\u{9b}c"), "a?[2J?b?c");
    }
}
