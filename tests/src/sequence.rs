//! The service whose calls are in the order of their keys, and what its members did together.

use replybus::{Context, Never, queue_handler};
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::sleep;

/// Numbers that are added to keys, each once and in order.
#[queue_handler("sequence.requests", partitions = 32, timeout = "2m")]
pub trait Sequence {
    /// Adds a number to what is written down of a key.
    async fn add(&self, #[key] key: String, number: u64) -> Result<(), Never>;
}

/// One member. All write into the same directory, a file for each key.
#[derive(Debug, Clone)]
pub struct Pages {
    name: String,
    directory: PathBuf,
}

impl Pages {
    /// The member of this name, which writes into a directory that is there.
    #[must_use]
    pub fn of(name: impl Into<String>, directory: &Path) -> Self {
        Self {
            name: name.into(),
            directory: directory.to_owned(),
        }
    }

    fn write(&self, key: &str, event: &str, number: u64) -> io::Result<()> {
        let path = self.directory.join(key);
        let mut file = File::options().create(true).append(true).open(path)?;
        // One write, so that lines of several processes don't mix.
        file.write_all(format!("{event} {number} {}\n", self.name).as_bytes())
    }

    fn note(&self, key: &str, event: &str, number: u64) {
        if let Err(error) = self.write(key, event, number) {
            eprintln!("a page can't be written: {error}");
            std::process::abort();
        }
    }
}

impl Sequence for Pages {
    async fn add(&self, key: String, number: u64) -> Result<(), Never> {
        let event = match Context::current().attempt() {
            1 => "began",
            _ => "again",
        };
        self.note(&key, event, number);
        // Others of this partition pass meanwhile.
        sleep(Duration::from_millis(number % 5)).await;
        self.note(&key, "done", number);
        Ok(())
    }
}

/// What was written down of one key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Each run that began, in order.
    pub began: Vec<u64>,
    /// Each run that was done, in order.
    pub done: Vec<u64>,
    /// The members that began runs, in order and without repetitions.
    pub members: Vec<String>,
    /// Runs that began while another of the key had not ended. Of one whose worker was killed that
    /// is so.
    pub overlaps: usize,
}

impl Page {
    /// That of a key.
    ///
    /// # Errors
    /// It can't be read.
    pub fn read(directory: &Path, key: &str) -> io::Result<Self> {
        let mut page = Self::default();
        let mut running = None;
        let text = match std::fs::read_to_string(directory.join(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(event), Some(number), Some(name)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Ok(number) = number.parse() else {
                continue;
            };
            if event == "done" {
                page.done.push(number);
                running = None;
                continue;
            }
            page.overlaps += usize::from(running.replace(number).is_some());
            page.began.push(number);
            if page.members.last().is_none_or(|last| last != name) {
                page.members.push(name.to_owned());
            }
        }
        Ok(page)
    }
}
