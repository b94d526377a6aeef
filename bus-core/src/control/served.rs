//! What an instance has done since it was started.

use super::verb::MethodStats;
use crate::contract::ServiceContract;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

/// The counts of each method of a contract, and behind them of all others.
#[derive(Debug)]
pub(crate) struct ServedCalls {
    contract: &'static ServiceContract,
    methods: Box<[Counts]>,
}

#[derive(Debug, Default)]
struct Counts {
    served: AtomicU64,
    failed: AtomicU64,
}

impl ServedCalls {
    pub(crate) fn new(contract: &'static ServiceContract) -> Self {
        let methods = (0..=contract.methods.len()).map(|_| Counts::default());
        let methods = methods.collect();
        Self { contract, methods }
    }

    /// Counts a request for the method at `position` in the contract.
    pub(crate) fn count(&self, position: usize, is_served: bool) {
        if let Some(counts) = self.methods.get(position) {
            let count = match is_served {
                true => &counts.served,
                false => &counts.failed,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts by method, without those that are nothing.
    pub(super) fn stats(&self) -> BTreeMap<String, MethodStats> {
        let names = self.contract.methods.iter().map(|method| method.name);
        let names = names.chain(["unknown"]);
        let stats = names.zip(&self.methods).map(|(name, counts)| {
            let stats = MethodStats {
                served: counts.served.load(Ordering::Relaxed),
                failed: counts.failed.load(Ordering::Relaxed),
            };
            (name.to_owned(), stats)
        });
        let called = stats.filter(|(_, stats)| *stats != MethodStats::default());
        called.collect()
    }
}
