//! What is known of a server's program before it runs.

use super::{Installation, ServerError};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The time a server that listens may take for each step of an exchange.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// The program of a server.
pub trait Program: Sized {
    /// The server's name, for messages.
    const NAME: &'static str;
    /// Ports it needs; its clients connect to the first.
    const PORTS: usize;
    /// The time it may take to start, on a machine that does much else.
    const START_WITHIN: Duration;
    /// The time it may take to end in good order.
    const STOP_WITHIN: Duration;

    /// Finds it in an installation.
    ///
    /// # Errors
    /// It is not there.
    fn find(installation: &Installation) -> Result<Self, ServerError>;

    /// Writes what it needs into an empty directory, once for all its starts there.
    ///
    /// # Errors
    /// A file can't be written, or a tool of the server fails.
    fn lay_out(&self, directory: &Path) -> Result<(), ServerError>;

    /// Its processes, in the order in which they are to be started: the server is the last. Each
    /// works in the directory it is started in, and waits for the one before to be ready.
    fn processes(&self, directory: &Path, ports: &[u16]) -> Vec<Launch>;

    /// The address of one that runs, for a user who may do everything.
    fn url(port: u16) -> String;
}

/// A process to start.
#[derive(Debug)]
pub struct Launch {
    /// How.
    pub command: Command,
    /// The sign that it is ready.
    pub ready: Probe,
}

/// A question that a server answers once it is ready.
#[derive(Debug, Clone)]
pub struct Probe {
    address: SocketAddr,
    question: Vec<u8>,
    answer: Vec<u8>,
}

impl Probe {
    /// A question at a port of this machine, and how the answer to it begins.
    #[must_use]
    pub fn new(port: u16, question: &[u8], answer: &[u8]) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            question: question.to_vec(),
            answer: answer.to_vec(),
        }
    }

    /// Asks, for 5 s at most in each of its steps; `true` if it is answered as expected. Blocks.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        let ask = || -> io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect_timeout(&self.address, ANSWERS_WITHIN)?;
            stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
            stream.set_write_timeout(Some(ANSWERS_WITHIN))?;
            stream.write_all(&self.question)?;
            let mut answer = vec![0; self.answer.len()];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer == self.answer)
    }
}

/// The first of these programs that is installed; a name without a slash is looked up in `PATH`.
///
/// # Errors
/// There is none of them.
pub fn program<P: AsRef<Path>>(
    server: &'static str,
    candidates: &[P],
) -> Result<PathBuf, ServerError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = std::env::split_paths(&path).collect();
    candidates
        .iter()
        .map(AsRef::as_ref)
        .flat_map(|candidate| {
            if candidate.components().count() > 1 {
                return vec![candidate.to_owned()];
            }
            let in_each = directories.iter();
            in_each.map(|directory| directory.join(candidate)).collect()
        })
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| ServerError::NotInstalled {
            server,
            looked_for: candidates
                .iter()
                .map(|candidate| candidate.as_ref().display().to_string())
                .collect(),
        })
}

/// `program` in each version that is installed beside others as `{parent}/{prefix}{version}`, the
/// newest first.
pub(super) fn versions(parent: &Path, prefix: &str, program: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(prefix)?;
            let numbers = version.split('.').map_while(|part| part.parse().ok());
            let numbers: Vec<u32> = numbers.collect();
            (!numbers.is_empty()).then(|| (numbers, entry.path().join(program)))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn programs_are_found_in_path_and_missing_ones_named() {
        assert!(program("a shell", &["no-such-shell", "sh"]).is_ok());
        assert!(program("a shell", &["/bin/sh"]).is_ok());
        let missing = program("a shell", &["no-such-shell", "/no/such"]).unwrap_err();
        assert!(missing.is_absence());
        let said = missing.to_string();
        assert!(said.contains("no-such-shell, /no/such"), "{said}");
    }

    #[test]
    fn the_newest_version_comes_first() {
        let parent = std::env::temp_dir().join(format!("versions-{}", std::process::id()));
        for version in ["v9", "v15.2", "v15.10", "other", "v"] {
            fs::create_dir_all(parent.join(version)).unwrap();
        }
        let found = versions(&parent, "v", "bin/server");
        fs::remove_dir_all(&parent).unwrap();
        let expected = ["v15.10", "v15.2", "v9"];
        let expected = expected.map(|version| parent.join(version).join("bin/server"));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_probe_tells_the_right_answer_from_others() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let answering = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = server.accept().unwrap();
                stream.read_exact(&mut [0; 4]).unwrap();
                stream.write_all(b"+PONG\r\n").unwrap();
            }
        });
        assert!(Probe::new(port, b"PING", b"+PONG").is_answered());
        assert!(!Probe::new(port, b"PING", b"-LOADING").is_answered());
        answering.join().unwrap();
        assert!(!Probe::new(port, b"PING", b"+PONG").is_answered());
    }
}
