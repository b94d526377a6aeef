//! A simulation as it is set up, and what is left of it at its end.

use crate::{
    fault::Fault,
    node::Node,
    plan::Faults,
    process::{Process, ProcessError},
    run::Run,
    trace::Happened,
};
use replybus::message::Message;
use std::{collections::BTreeMap, fmt, future::Future, sync::Arc, time::Duration};

/// The time after the last caller is done, and all that stood still go on, in which what is left is
/// worked off: longer than servers and processes are away, and a claim and a lost confirm hold something
/// up.
const DRAIN: Duration = Duration::from_secs(40);

/// A number of processes, a broker and a store, on one thread, in a time of their own.
///
/// See [the crate](crate) for an example.
pub struct Simulation {
    pub(crate) seed: u64,
    pub(crate) faults: Vec<(usize, Fault)>,
    drawn: Option<(Faults, Option<Vec<usize>>)>,
    pub(crate) processes: Vec<Process>,
    pub(crate) drain: Duration,
    pub(crate) keeps_trace: bool,
    pub(crate) happened: Vec<Happened>,
}

impl Simulation {
    /// A simulation in which nothing goes wrong. The seed decides how long messages take.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            faults: Vec::new(),
            drawn: None,
            processes: Vec::new(),
            drain: DRAIN,
            keeps_trace: false,
            happened: Vec::new(),
        }
    }

    /// One in which these faults happen.
    #[must_use]
    pub fn with(seed: u64, faults: impl IntoIterator<Item = Fault>) -> Self {
        let faults = faults.into_iter().enumerate().collect();
        Self {
            faults,
            ..Self::new(seed)
        }
    }

    /// One in which the seed decides the faults; of these only `kept`, by their numbers, if given.
    pub(crate) fn drawn(seed: u64, faults: &Faults, kept: Option<Vec<usize>>) -> Self {
        Self {
            drawn: Some((faults.clone(), kept)),
            ..Self::new(seed)
        }
    }

    /// Keeps what happens, for [`happened`](Self::happened).
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.keeps_trace = true;
        self
    }

    /// Adds a process that runs to the end: `main` begins when it starts, and again after each crash,
    /// and returns once it is [told to end](Node::stopped). Returns its number.
    pub fn service<F>(
        &mut self,
        name: &str,
        main: impl Fn(Node) -> F + Send + Sync + 'static,
    ) -> usize
    where
        F: Future<Output = Result<(), ProcessError>> + Send + 'static,
    {
        self.add(name, false, main)
    }

    /// Adds a process that ends by itself, and for which the simulation waits. As a service it begins
    /// anew after a crash: [`Node::life`] tells it so.
    pub fn caller<F>(
        &mut self,
        name: &str,
        main: impl Fn(Node) -> F + Send + Sync + 'static,
    ) -> usize
    where
        F: Future<Output = Result<(), ProcessError>> + Send + 'static,
    {
        self.add(name, true, main)
    }

    fn add<F>(
        &mut self,
        name: &str,
        is_caller: bool,
        main: impl Fn(Node) -> F + Send + Sync + 'static,
    ) -> usize
    where
        F: Future<Output = Result<(), ProcessError>> + Send + 'static,
    {
        self.processes.push(Process {
            name: name.into(),
            main: Arc::new(move |node| Box::pin(main(node))),
            is_caller,
            clock_off_by: 0,
            steps: 0,
            lives: 0,
            life: None,
            is_done: false,
        });
        self.processes.len() - 1
    }

    /// Sets how long services go on when all callers are done and no process stands still any more; 40 s
    /// if it is not set.
    pub fn drain(&mut self, drain: Duration) {
        self.drain = drain;
    }

    /// Runs all processes, until callers are done and what is left is worked off; then services are
    /// told to end.
    ///
    /// # Errors
    /// A process failed or panicked, does not end, or leaves tasks behind.
    pub fn run(&mut self) -> Result<Ended, Violation> {
        if let Some((faults, kept)) = &self.drawn {
            let drawn = faults.of_seed(self.seed, self.processes.len());
            let is_kept = |number: &usize| kept.as_ref().is_none_or(|kept| kept.contains(number));
            self.faults = drawn
                .into_iter()
                .enumerate()
                .filter(|(number, _)| is_kept(number))
                .collect();
        }
        for (_, fault) in &self.faults {
            if let Fault::Clock { process, off_by } = fault
                && let Some(process) = self.processes.get_mut(*process)
            {
                process.clock_off_by = *off_by;
            }
        }
        let mut run = Run::new(self).map_err(|error| Violation::new(error.to_string()))?;
        let ended = run.finish();
        self.happened = run.into_happened();
        ended
    }

    /// What happened, if it is [kept](Self::traced).
    #[must_use]
    pub fn happened(&self) -> &[Happened] {
        &self.happened
    }

    /// The faults that were to happen, by their numbers.
    #[must_use]
    pub fn faults(&self) -> &[(usize, Fault)] {
        &self.faults
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.processes.iter().map(|process| &*process.name);
        f.debug_struct("Simulation")
            .field("seed", &self.seed)
            .field("faults", &self.faults)
            .field("processes", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// What is left of a simulation that ran to its end.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Ended {
    /// One number for all that happened, in its order: that of the same seed and faults again.
    pub digest: u64,
    /// How much that was.
    pub steps: u64,
    /// The time that went by.
    pub lasted: Duration,
    /// The numbers of the faults that happened: a step that was never taken has none.
    pub struck: Vec<usize>,
    /// The broker lost its queues.
    pub lost_queues: bool,
    /// The store was away, with its data or without.
    pub was_without_store: bool,
    /// The store lost its data.
    pub lost_records: bool,
    /// The messages that are left, by their queues. Those without any are not named.
    pub left: BTreeMap<String, Vec<Message>>,
}

/// What should not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(String);

impl Violation {
    /// A violation, in words.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}
