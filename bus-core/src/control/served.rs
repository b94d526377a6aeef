//! What an instance has done since it was started.

use super::{histogram::AtomicHistogram, verb::MethodStats};
use crate::{
    contract::ServiceContract,
    work::{Answer, AnswerClass},
};
use std::{
    collections::BTreeMap,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The counts of each method of a contract, and behind them of all others.
#[derive(Debug)]
pub(crate) struct ServedCalls {
    contract: &'static ServiceContract,
    /// Of a method that is never called there is no more than its place.
    methods: Box<[OnceLock<Box<Counts>>]>,
}

#[derive(Debug, Default)]
struct Counts {
    served: AtomicU64,
    errors: AtomicU64,
    failed: AtomicU64,
    took: AtomicHistogram,
    waited: AtomicHistogram,
}

impl ServedCalls {
    pub(crate) fn new(contract: &'static ServiceContract) -> Self {
        let methods = (0..=contract.methods.len()).map(|_| OnceLock::new());
        let methods = methods.collect();
        Self { contract, methods }
    }

    /// Counts a request for the method at `position` in the contract: what it came to, how long that
    /// took since it was received, and how long it had waited before, as far as it says that.
    pub(crate) fn count(
        &self,
        position: usize,
        answer: &Answer,
        took: Duration,
        waited: Option<Duration>,
    ) {
        let Some(counts) = self.methods.get(position) else {
            return;
        };
        let counts = counts.get_or_init(Box::default);
        let count = match AnswerClass::of(answer) {
            AnswerClass::Value => &counts.served,
            AnswerClass::HandlerError => &counts.errors,
            AnswerClass::Fault { .. } => &counts.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        counts.took.add(took);
        if let Some(waited) = waited {
            counts.waited.add(waited);
        }
    }

    /// The counts by method, without those that are nothing.
    pub(super) fn stats(&self) -> BTreeMap<String, MethodStats> {
        let names = self.contract.methods.iter().map(|method| method.name);
        let names = names.chain(["unknown"]);
        let called = names.zip(&self.methods).filter_map(|(name, counts)| {
            let counts = counts.get()?;
            let errors = counts.errors.load(Ordering::Relaxed);
            let stats = MethodStats {
                served: counts.served.load(Ordering::Relaxed) + errors,
                errors,
                failed: counts.failed.load(Ordering::Relaxed),
                took: counts.took.read(),
                waited: counts.waited.read(),
            };
            Some((name.to_owned(), stats))
        });
        called.collect()
    }
}
