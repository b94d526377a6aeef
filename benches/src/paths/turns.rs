//! The workers of a path without a broker that would share the calls out take turns.

use anyhow::{Context, Result};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Connections to each worker.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    connections: Vec<T>,
    next: AtomicUsize,
}

impl<T> Turns<T> {
    pub(crate) fn new(connections: Vec<T>) -> Self {
        Self {
            connections,
            next: AtomicUsize::new(0),
        }
    }

    /// The one whose turn it is.
    pub(crate) fn next(&self) -> Result<&T> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = turn.checked_rem(self.connections.len());
        let connection = turn.and_then(|turn| self.connections.get(turn));
        connection.context("there is no worker")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_take_turns() {
        let turns = Turns::new(vec!['a', 'b']);
        let taken: String = (0..4).map(|_| turns.next().unwrap()).collect();
        assert_eq!(taken, "abab");
        assert!(Turns::<char>::new(Vec::new()).next().is_err());
    }
}
