//! The clock on the wall, as one process sees it: put forward and back while it runs.

use super::{Installation, ServerError, Workplace};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// The library, as its errors call it.
pub(super) const NAME: &str = "libfaketime";
/// Where distributions have it: below a directory of an architecture, or not.
const DIRECTORIES: [&str; 2] = ["/usr/lib", "/usr/lib64"];
const LIBRARY: &str = "faketime/libfaketime.so.1";
/// The allocator of glibc as a library of its own. jemalloc, which Redis is linked with, asks for the
/// time before it can give memory, and libfaketime for memory before it can say the time.
const ALLOCATOR: &str = "libc_malloc_debug.so.0";
/// The file that says what the clock shows, and where it is written before it is there at once.
const SHOWN: &str = "shown";
const NEXT: &str = "next";

/// A clock on the wall for processes that are given its [`variables`](Self::variables): at first that
/// of the machine, and then as it is set, from one look at it to the next. What they count time by
/// (`CLOCK_MONOTONIC`) goes on as it does.
///
/// It is libfaketime, in the package `faketime` of Debian. The processes must be linked with glibc.
#[derive(Debug)]
pub struct WallClock {
    workplace: Workplace,
}

/// By how much the clock of a machine is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It is right.
    Right,
    /// It is ahead by so many whole seconds.
    Ahead(Duration),
    /// It is behind by so many whole seconds.
    Behind(Duration),
    /// It was right when its process began, and gains a tenth of what has passed since. The process
    /// also sleeps a tenth less than it means to.
    Fast,
}

impl WallClock {
    /// A clock that is right.
    ///
    /// # Errors
    /// There is no directory for it, or the library is not on this machine.
    pub fn new() -> Result<Self, ServerError> {
        library(&Installation::default())?;
        let clock = Self {
            workplace: Workplace::new("clock")?,
        };
        clock.set(Shown::Right)?;
        Ok(clock)
    }

    /// Sets it, at once and for all its processes.
    ///
    /// # Errors
    /// The file that they look at can't be written.
    pub fn set(&self, shown: Shown) -> io::Result<()> {
        let text = match shown {
            Shown::Right => "+0".to_owned(),
            Shown::Ahead(by) => format!("+{}", by.as_secs()),
            Shown::Behind(by) => format!("-{}", by.as_secs()),
            Shown::Fast => "+0 x1.1".to_owned(),
        };
        // At once: half a line would be another time.
        fs::write(self.workplace.path(NEXT), text)?;
        fs::rename(self.workplace.path(NEXT), self.workplace.path(SHOWN))
    }

    /// The environment variables of a process of this machine that is to see it.
    ///
    /// # Errors
    /// The library is not there.
    pub fn variables(&self) -> Result<Vec<(&'static str, String)>, ServerError> {
        self.variables_in(&Installation::default())
    }

    /// The same for a program of an installation.
    pub(super) fn variables_in(
        &self,
        installation: &Installation,
    ) -> Result<Vec<(&'static str, String)>, ServerError> {
        let library = library(installation)?;
        let shown = self.workplace.path(SHOWN);
        Ok(vec![
            ("LD_PRELOAD", format!("{}:{ALLOCATOR}", library.display())),
            ("FAKETIME_TIMESTAMP_FILE", shown.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ])
    }
}

/// The library in an installation, as its programs see it.
fn library(installation: &Installation) -> Result<PathBuf, ServerError> {
    let of_architectures = DIRECTORIES.iter().flat_map(|directory| {
        let listed = fs::read_dir(installation.outside(Path::new(directory)));
        let names = listed.into_iter().flatten().flatten();
        names.map(move |entry| Path::new(directory).join(entry.file_name()))
    });
    let directories = DIRECTORIES.iter().map(PathBuf::from);
    let candidates: Vec<_> = directories
        .chain(of_architectures)
        .map(|directory| directory.join(LIBRARY))
        .collect();
    let found = candidates
        .iter()
        .find(|library| installation.outside(library).is_file());
    found.cloned().ok_or_else(|| ServerError::NotInstalled {
        server: NAME,
        looked_for: DIRECTORIES
            .iter()
            .flat_map(|directory| ["", "*/"].map(|below| format!("{directory}/{below}{LIBRARY}")))
            .map(|pattern| {
                installation
                    .outside(Path::new(&pattern))
                    .display()
                    .to_string()
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_sees_the_time_that_is_set() {
        let clock = match WallClock::new() {
            Ok(clock) => clock,
            Err(error) if error.is_absence() => {
                println!("skipped: {error}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let shown = || -> u64 {
            let mut date = Command::new("date");
            date.arg("+%s").envs(clock.variables().unwrap());
            let printed = date.output().unwrap().stdout;
            String::from_utf8(printed).unwrap().trim().parse().unwrap()
        };
        let hour = Duration::from_secs(3600);
        let right = shown();
        clock.set(Shown::Ahead(hour)).unwrap();
        assert!(shown() >= right + 3600);
        clock.set(Shown::Behind(hour)).unwrap();
        assert!(shown() < right - 1800);
        clock.set(Shown::Right).unwrap();
        assert!(shown() >= right && shown() < right + 1800);
    }

    #[test]
    fn a_library_that_is_not_there_is_an_absence() {
        let none = Installation::tree("/no/such/tree".into());
        let missing = library(&none).unwrap_err();
        assert!(missing.is_absence());
        let said = missing.to_string();
        assert!(said.contains("/no/such/tree/usr/lib/*/faketime"), "{said}");
    }
}
