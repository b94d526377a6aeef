//! Whether there is always a way on: from each state that can be reached, to one in which nothing is
//! under way. Where a step that can be taken again and again is taken some time, that is the same as
//! that all ends well. stateright's own `eventually` does not look at cycles, and whoever waits for
//! another's run asks in a cycle.

use crate::{Protocol, state::State, step::Action};
use stateright::Model;
use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

/// What there is to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explored {
    /// The number of states.
    pub states: usize,
    /// The shortest way to a state from which none leads to the end.
    pub trap: Option<Vec<Action>>,
}

/// The states that were reached, by the order in which they were: as hashes, for there are many.
#[derive(Default)]
struct Reached {
    numbers: HashMap<u64, usize>,
    /// The step that each was first reached by, and from where.
    first: Vec<Option<(usize, Action)>>,
    /// Whence steps that are no faults lead to each.
    comes_from: Vec<Vec<usize>>,
    settles: Vec<bool>,
    /// Those that were not looked at yet.
    open: VecDeque<State>,
}

impl Reached {
    fn add(&mut self, state: State, by: Option<(usize, Action)>) -> usize {
        let mut hash = DefaultHasher::new();
        state.hash(&mut hash);
        let next = self.first.len();
        let number = *self.numbers.entry(hash.finish()).or_insert(next);
        if number == next {
            self.first.push(by);
            self.comes_from.push(Vec::new());
            self.settles.push(state.is_settled());
            self.open.push_back(state);
        }
        number
    }

    /// Marks all from which there is a way to what is settled.
    fn go_back(&mut self) {
        let numbers = 0..self.settles.len();
        let mut open: Vec<usize> = numbers.filter(|number| self.settles[*number]).collect();
        while let Some(number) = open.pop() {
            for before in &self.comes_from[number] {
                if !std::mem::replace(&mut self.settles[*before], true) {
                    open.push(*before);
                }
            }
        }
    }

    fn way_to(&self, mut number: usize) -> Vec<Action> {
        let mut way = Vec::new();
        while let Some((before, action)) = self.first[number] {
            way.push(action);
            number = before;
        }
        way.reverse();
        way
    }
}

/// Looks at every state.
#[must_use]
pub fn can_always_settle(protocol: &Protocol) -> Explored {
    let mut reached = Reached::default();
    for state in protocol.init_states() {
        reached.add(state, None);
    }
    let mut number = 0;
    while let Some(state) = reached.open.pop_front() {
        for (action, next) in protocol.next_steps(&state) {
            let to = reached.add(next, Some((number, action)));
            // No fault has to happen.
            if !matches!(action, Action::Fault(_)) {
                reached.comes_from[to].push(number);
            }
        }
        number += 1;
    }
    reached.go_back();
    let trap = reached.settles.iter().position(|settles| !settles);
    Explored {
        states: reached.settles.len(),
        trap: trap.map(|number| reached.way_to(number)),
    }
}
