//! Why a command was not done, in a line, and the exit code that says so.

use std::{error::Error, io};

/// Not done.
const FAILED: u8 = 1;
/// The arguments are none; clap's code as well.
const USAGE: u8 = 2;
/// The service's own error.
const SERVICE: u8 = 3;
/// As of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Why a command was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What failed, in one line.
    Said(String),
    /// The arguments ask for what there is not.
    Usage(String),
    /// A service's own error, which was printed.
    Service,
    /// Done, and something is not as it should be: that was printed.
    Found,
    /// The user ended it.
    Interrupted,
    /// Nobody reads any more what is printed.
    Unread,
}

impl Failure {
    /// What failed, and what is behind it.
    pub(crate) fn because(what: &str, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        Self::Said(format!("{what}: {}", chain(error.as_ref())))
    }

    /// What is printed on stderr, if anything.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Said(text) | Self::Usage(text) => Some(text),
            Self::Service | Self::Found | Self::Interrupted | Self::Unread => None,
        }
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Said(_) | Self::Found => FAILED,
            Self::Usage(_) => USAGE,
            Self::Service => SERVICE,
            Self::Interrupted => INTERRUPTED,
            Self::Unread => 0,
        }
    }
}

impl From<io::Error> for Failure {
    /// That of writing to stdout.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::because("the output can't be written", error),
        }
    }
}

/// An error and its sources in one line, without what is said twice.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    crate::output::shown(&text)
}
