//! What callers were told, and what was really done: written down by both, for the invariants.

use crate::{invariants::Done, wire::lock};
use replybus::CallError;
use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};

/// What callers were told of commands, and what services did of them, by what a command is for: its
/// idempotency key, say. It is outside of all processes, as a database is whose writes are never lost.
/// Its clones are the same.
///
/// ```
/// use replybus::{CallError, Never};
/// use replybus_sim::{History, invariants};
///
/// let history = History::new();
/// let asked = history.asks("transfer 7");
/// history.did("transfer 7", 1); // its handler
/// history.is_told(asked, &Ok::<_, CallError<Never>>(1)); // its caller
/// assert!(invariants::answered_truthfully(&history).is_ok());
/// ```
#[derive(Debug, Clone, Default)]
pub struct History(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    asked: Vec<Asked>,
    done: BTreeMap<String, Vec<Done>>,
}

/// A call, as its caller knows it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) what: String,
    pub(crate) told: Option<Told>,
}

/// What a caller was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Value(String),
    Error {
        may_have_executed: bool,
        text: String,
    },
}

/// A call that was noted.
#[derive(Debug, Clone, Copy)]
pub struct AskedCall(usize);

impl History {
    /// An empty history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that somebody is about to call. One that is killed is told nothing.
    pub fn asks(&self, what: impl Into<String>) -> AskedCall {
        let mut log = lock(&self.0);
        log.asked.push(Asked {
            what: what.into(),
            told: None,
        });
        AskedCall(log.asked.len() - 1)
    }

    /// Notes what a caller was told.
    pub fn is_told<T: Debug, E: Debug>(&self, call: AskedCall, told: &Result<T, CallError<E>>) {
        let told = match told {
            Ok(value) => Told::Value(format!("{value:?}")),
            // An answer of the handler's is one as well.
            Err(CallError::Handler(error)) => Told::Value(format!("{error:?}")),
            Err(CallError::Bus(failure)) => Told::Error {
                may_have_executed: failure.may_have_executed(),
                text: failure.to_string(),
            },
        };
        if let Some(asked) = lock(&self.0).asked.get_mut(call.0) {
            asked.told = Some(told);
        }
    }

    /// Notes that a handler has had its effect, with the value that it is about to return: in one
    /// step, like a write to a database.
    pub fn did(&self, what: impl Into<String>, value: impl Debug) {
        let done = Done {
            value: format!("{value:?}"),
        };
        lock(&self.0)
            .done
            .entry(what.into())
            .or_default()
            .push(done);
    }

    /// Notes it unless it was noted before, as a row under a unique key is written; returns the value
    /// that is there.
    pub fn did_once<T: Debug + std::str::FromStr>(&self, what: &str, value: T) -> T {
        let mut log = lock(&self.0);
        let done = log.done.entry(what.to_owned()).or_default();
        if let Some(Ok(before)) = done.first().map(|done| done.value.parse()) {
            return before;
        }
        done.push(Done {
            value: format!("{value:?}"),
        });
        value
    }

    /// How many commands have had an effect.
    #[must_use]
    pub fn effects(&self) -> usize {
        lock(&self.0).done.len()
    }

    /// How many calls were told a value.
    #[must_use]
    pub fn answered(&self) -> usize {
        let log = lock(&self.0);
        log.asked
            .iter()
            .filter(|asked| matches!(asked.told, Some(Told::Value(_))))
            .count()
    }

    pub(crate) fn calls_and_effects(&self) -> (Vec<Asked>, BTreeMap<String, Vec<Done>>) {
        let log = lock(&self.0);
        (log.asked.clone(), log.done.clone())
    }
}
