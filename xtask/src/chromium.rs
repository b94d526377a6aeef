//! A browser for the tests of the web page: Chromium, and the chromedriver of the same version,
//! through which tests use it.

use crate::{debian, program};
use anyhow::{bail, ensure};
use clap::Subcommand;
use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command as Program,
    time::Duration,
};

/// The command line after `cargo xtask chromium`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes sure that there is one
    Up,
}

/// A program says its version within this.
const VERSION_WITHIN: Duration = Duration::from_secs(60);

/// One of the programs that are needed.
#[derive(Debug, Clone, Copy)]
struct Part {
    name: &'static str,
    /// The environment variable that can name it.
    variable: &'static str,
    package: &'static str,
    /// The places that it is looked for in, by the tests too.
    candidates: &'static [&'static str],
}

const PARTS: [Part; 2] = [
    Part {
        name: "chromium",
        variable: "CHROMIUM",
        package: "chromium",
        candidates: &[
            "chromium",
            "chromium-browser",
            "google-chrome",
            "google-chrome-stable",
            "/opt/google/chrome/chrome",
            "/Applications/Chromium.app/Contents/MacOS/Chromium",
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        ],
    },
    Part {
        name: "chromedriver",
        variable: "CHROMEDRIVER",
        package: "chromium-driver",
        candidates: &[
            "chromedriver",
            "/usr/lib/chromium/chromedriver",
            "/usr/lib/chromium-browser/chromedriver",
            "/opt/homebrew/bin/chromedriver",
        ],
    },
];

impl Part {
    fn is_named(self) -> bool {
        env::var_os(self.variable).is_some_and(|named| !named.is_empty())
    }

    /// The program and its version. One that only says where to get the real one is none.
    fn find(self) -> Option<(PathBuf, String)> {
        let named = env::var_os(self.variable).filter(|named| !named.is_empty());
        if let Some(named) = named {
            let named = PathBuf::from(named);
            return version_of(&named).map(|version| (named, version));
        }
        self.candidates.iter().find_map(|candidate| {
            let program = program::find(&[candidate])?;
            version_of(&program).map(|version| (program, version))
        })
    }
}

fn version_of(program: &Path) -> Option<String> {
    let mut command = Program::new(program);
    version_in(&program::output_within(
        VERSION_WITHIN,
        command.arg("--version"),
    )?)
}

/// The first word that is numbers with dots between them.
fn version_in(text: &str) -> Option<String> {
    let is_version = |word: &&str| {
        word.contains('.') && word.split('.').all(|number| number.parse::<u32>().is_ok())
    };
    text.split_whitespace().find(is_version).map(str::to_owned)
}

fn say(message: impl fmt::Display) {
    eprintln!("chromium: {message}");
}

/// Does what the command line says.
///
/// # Errors
/// There is no browser, and none could be had. What is missing is printed.
pub(crate) fn run(Command::Up: &Command) -> anyhow::Result<()> {
    up()
}

/// Makes sure that there is a browser.
///
/// # Errors
/// As [`run`].
pub(crate) fn up() -> anyhow::Result<()> {
    let missing = || PARTS.into_iter().filter(|part| part.find().is_none());
    // What a variable names is not to be replaced by something else.
    let packages: Vec<_> = missing()
        .filter(|part| !part.is_named())
        .map(|part| part.package)
        .collect();
    if !packages.is_empty() && debian::can_install() {
        install(&packages)?;
    }
    let missing: Vec<_> = missing().collect();
    if !missing.is_empty() {
        explain(&missing);
        bail!("there is no browser for the tests of the page");
    }
    let mut releases = Vec::new();
    for part in PARTS {
        if let Some((program, version)) = part.find() {
            say(format_args!(
                "{}: {}, {version}",
                part.name,
                program.display()
            ));
            releases.push(version.split('.').next().map(str::to_owned));
        }
    }
    releases.dedup();
    ensure!(
        releases.len() == 1,
        "Chromium and chromedriver are of different versions and will not work together"
    );
    Ok(())
}

/// All at once: their versions belong together.
fn install(packages: &[&str]) -> anyhow::Result<()> {
    say(format_args!(
        "installing the packages {}",
        packages.join(" ")
    ));
    let log = env::temp_dir().join(format!("chromium-install-{}.log", std::process::id()));
    if debian::install(packages, &log).is_err() {
        let log = fs::read_to_string(&log).unwrap_or_default();
        let why = log.trim().lines().last().unwrap_or_default();
        say(format_args!("apt-get could not install them: {why}"));
    }
    Ok(fs::remove_file(log)?)
}

fn explain(missing: &[Part]) {
    for part in missing {
        if part.is_named() {
            say(format_args!(
                "{} is set, but what it names does not run: correct it, or unset it",
                part.variable
            ));
        } else {
            say(format_args!(
                "{} is not installed: {}",
                part.name,
                part.candidates.join(" ")
            ));
        }
    }
    say("install what is missing, of one version:");
    say("  Debian:         apt-get install chromium chromium-driver");
    say("  Fedora:         dnf install chromium chromedriver");
    say("  Arch, Alpine:   the package chromium (and chromium-chromedriver on Alpine)");
    say("  macOS:          brew install --cask chromium chromedriver");
    say("or name the programs in CHROMIUM and CHROMEDRIVER");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_among_words() {
        for (said, version) in [
            (
                "Chromium 120.0.6099.224 built on Debian",
                Some("120.0.6099.224"),
            ),
            (
                "ChromeDriver 120.0.6099.224 (3587067cafd)",
                Some("120.0.6099.224"),
            ),
            (
                "Command '/usr/bin/chromium-browser' requires the snap",
                None,
            ),
            ("install it with: snap install chromium.", None),
        ] {
            assert_eq!(version_in(said).as_deref(), version);
        }
    }
}
