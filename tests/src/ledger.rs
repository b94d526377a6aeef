//! The service that the fault tests call, and the journal of what it did.

use futures_util::stream;
use replybus::{Context, Never, RetryLater, limits::CLOCK_ALLOWANCE, queue_handler, stream::Items};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::watch;

/// From the check of a deadline to the handler's first step no more can pass, on a machine that
/// does much else: later is too late.
pub const LATE_BY: Duration = Duration::from_secs(5);

/// A ledger whose entries have names that are used once.
#[queue_handler("ledger.requests", timeout = "2m")]
pub trait Ledger {
    /// The number itself.
    #[query]
    async fn echo(&self, number: u64) -> Result<u64, Never>;

    /// Waits at the gate, and enters `name`.
    #[query]
    async fn read(&self, name: String) -> Result<(), Never>;

    /// The numbers from `from` on, for as long as somebody reads them.
    #[stream]
    async fn count(&self, from: u64) -> Result<Items<u64, Never>, Never>;

    /// Reads numbers, which are to begin with 0, enters `name` at the end, and returns how many there
    /// were.
    async fn take(&self, name: String, #[stream] numbers: Items<u64>) -> Result<u64, String>;

    /// Waits at the gate, enters `name`, and returns which run of the command this was. `until` is
    /// when its caller gives up, in milliseconds since the Unix epoch.
    async fn enter(&self, name: String, until: Option<u64>) -> Result<u32, Never>;

    /// As [`enter`](Self::enter), and may take an hour.
    #[command(job = "1h")]
    async fn copy(&self, name: String) -> Result<u32, Never>;

    /// Waits at the gate, enters `name`, and panics.
    async fn spill(&self, name: String) -> Result<(), Never>;

    /// Puts the command off until its third run, which waits at the gate, enters `name`, and returns
    /// which run it was. With `for_ever` there is no such.
    #[command(retry(max = 4, base = "2s", max_delay = "2s"))]
    async fn put_off(&self, name: String, for_ever: bool) -> Result<u32, String>;
}

/// The service. Its clones share journal and gate.
#[derive(Debug, Clone)]
pub struct Books {
    journal: Arc<Journal>,
    gate: watch::Receiver<bool>,
}

/// Lets handlers pass, or holds them.
#[derive(Debug)]
pub struct Gate(watch::Sender<bool>);

impl Books {
    /// The service, and its gate, which is open.
    #[must_use]
    pub fn new(journal: Arc<Journal>) -> (Self, Gate) {
        let (sender, gate) = watch::channel(true);
        (Self { journal, gate }, Gate(sender))
    }

    /// Waits at the gate, and enters a tick of a schedule.
    ///
    /// # Cancel safety
    /// Dropped, the tick may have been begun and not done.
    pub async fn tick(&self, key: &str) {
        let attempt = Context::current().attempt();
        self.journal.note(key, Event::Began, attempt);
        self.pass().await;
        self.journal.note(key, Event::Done, attempt);
    }

    async fn pass(&self) {
        // An error is a gate that is gone and will never open.
        if self.gate.clone().wait_for(|open| *open).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Gate {
    /// Lets handlers pass, those inside and those to come.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Holds handlers.
    pub fn close(&self) {
        self.0.send_replace(false);
    }
}

impl Ledger for Books {
    async fn echo(&self, number: u64) -> Result<u64, Never> {
        Ok(number)
    }

    async fn read(&self, name: String) -> Result<(), Never> {
        self.journal.note(&name, Event::Began, 1);
        self.pass().await;
        self.journal.note(&name, Event::Done, 1);
        Ok(())
    }

    async fn count(&self, from: u64) -> Result<Items<u64, Never>, Never> {
        Ok(Items::new(stream::iter((from..).map(Ok))))
    }

    async fn take(&self, name: String, mut numbers: Items<u64>) -> Result<u64, String> {
        let attempt = Context::current().attempt();
        self.journal.note(&name, Event::Began, attempt);
        let mut next = 0;
        while let Some(number) = numbers.next().await {
            let number = number.map_err(|failure| failure.to_string())?;
            if number != next {
                return Err(format!("{number} came for {next}"));
            }
            next += 1;
        }
        self.journal.note(&name, Event::Done, attempt);
        Ok(next)
    }

    async fn enter(&self, name: String, until: Option<u64>) -> Result<u32, Never> {
        let attempt = Context::current().attempt();
        let late = until.is_some_and(|until| {
            unix_time() > Duration::from_millis(until) + CLOCK_ALLOWANCE + LATE_BY
        });
        let event = if late { Event::Late } else { Event::Began };
        self.journal.note(&name, event, attempt);
        self.pass().await;
        self.journal.note(&name, Event::Done, attempt);
        Ok(attempt)
    }

    async fn copy(&self, name: String) -> Result<u32, Never> {
        self.enter(name, None).await
    }

    async fn spill(&self, name: String) -> Result<(), Never> {
        let attempt = Context::current().attempt();
        self.journal.note(&name, Event::Began, attempt);
        self.pass().await;
        self.journal.note(&name, Event::Done, attempt);
        panic!("on purpose");
    }

    async fn put_off(&self, name: String, for_ever: bool) -> Result<u32, String> {
        let attempt = Context::current().attempt();
        self.journal.note(&name, Event::Began, attempt);
        if for_ever || attempt < 3 {
            return Err(format!("run {attempt}")).retry_later();
        }
        self.pass().await;
        self.journal.note(&name, Event::Done, attempt);
        Ok(attempt)
    }
}

/// Time since the Unix epoch.
#[must_use]
pub fn unix_time() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Began,
    /// Began after its caller had given up.
    Late,
    Done,
}

/// What was begun and done, by name.
#[derive(Debug, Default)]
pub struct Journal {
    pages: Mutex<HashMap<String, Page>>,
    /// A copy for whoever outlives this process.
    file: Option<File>,
}

/// What happened to one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Runs that began.
    pub began: u32,
    /// Runs that began after the caller had given up, by more than clocks may differ.
    pub late: u32,
    /// The attempts that were done.
    pub done: Vec<u32>,
}

impl Journal {
    /// A journal that is copied into a file.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn kept_in(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self {
            file: Some(file),
            ..Self::default()
        })
    }

    /// Adds what the journal in a file says. Of a line that was cut off half-way nothing is taken.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn add(&self, path: &Path) -> io::Result<()> {
        for line in std::fs::read_to_string(path)?.lines() {
            let mut words = line.split(' ');
            let event = match words.next() {
                Some("began") => Event::Began,
                Some("late") => Event::Late,
                Some("done") => Event::Done,
                _ => continue,
            };
            let attempt = words.next().and_then(|attempt| attempt.parse().ok());
            if let (Some(attempt), Some(name), Some("end")) = (attempt, words.next(), words.next())
            {
                self.note(name, event, attempt);
            }
        }
        Ok(())
    }

    /// What happened to `name`.
    #[must_use]
    pub fn page(&self, name: &str) -> Page {
        self.pages().get(name).cloned().unwrap_or_default()
    }

    /// The same pages, and no file.
    #[must_use]
    pub fn clone_pages(&self) -> Self {
        Self {
            pages: Mutex::new(self.pages().clone()),
            file: None,
        }
    }

    /// All that was begun.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.pages().keys().cloned().collect()
    }

    /// How many names were begun.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.pages().len()
    }

    fn note(&self, name: &str, event: Event, attempt: u32) {
        let word = {
            let mut pages = self.pages();
            let page = pages.entry(name.to_owned()).or_default();
            match event {
                Event::Began => {
                    page.began += 1;
                    "began"
                }
                Event::Late => {
                    page.began += 1;
                    page.late += 1;
                    "late"
                }
                Event::Done => {
                    page.done.push(attempt);
                    "done"
                }
            }
        };
        if let Some(mut file) = self.file.as_ref() {
            // One write, so that lines of parallel handlers don't mix.
            let line = format!("{word} {attempt} {name} end\n");
            if let Err(error) = file.write_all(line.as_bytes()) {
                eprintln!("the journal can't be written: {error}");
                std::process::abort();
            }
        }
    }

    fn pages(&self) -> MutexGuard<'_, HashMap<String, Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
