//! The queues that one bus takes messages from, and in whose name: one queue is for one contract,
//! or half of its messages reach a handler that they are not for.

use super::dead_letter_queue;
use crate::{contract::ServiceContract, error::SetupError};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The contract or group that takes the messages of a queue.
#[derive(Debug, Clone)]
pub(crate) enum Occupant {
    /// A service.
    Service(&'static ServiceContract),
    /// A group, and the type of its events.
    Group { name: String, event: &'static str },
}

/// The occupied queues of one bus, and those that were and should be.
#[derive(Debug, Clone, Default)]
pub(crate) struct OccupiedQueues(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// By queue: by whom, and how often.
    occupied: BTreeMap<String, (Occupant, usize)>,
    /// By queue: how it came to an end that nobody asked for.
    left: BTreeMap<String, String>,
}

/// The hold on a queue, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Occupancy {
    queues: OccupiedQueues,
    queue: String,
}

impl OccupiedQueues {
    /// Occupies a queue, which others of the same contract may do, too.
    pub(crate) fn occupy(&self, queue: &str, occupant: &Occupant) -> Result<Occupancy, SetupError> {
        let mut noted = self.lock();
        let refuse = |reason| Err(SetupError::setting(occupant.setting(), reason));
        for (other, (by, _)) in &noted.occupied {
            if other == queue && !by.is(occupant) {
                return refuse(format!(
                    "{queue:?} has the messages of {by} in this process, and {occupant} would get \
                     half of them: give it a queue of its own"
                ));
            }
            if dead_letter_queue(other) == queue || *other == dead_letter_queue(queue) {
                return refuse(format!(
                    "{queue:?} can't be taken by {occupant} while {by} has {other:?}: one of them \
                     holds the dead letters of the other"
                ));
            }
        }
        let entry = noted.occupied.entry(queue.to_owned());
        entry.or_insert_with(|| (occupant.clone(), 0)).1 += 1;
        noted.left.remove(queue);
        drop(noted);
        Ok(Occupancy {
            queues: self.clone(),
            queue: queue.to_owned(),
        })
    }

    /// The queues whose service or subscription ended without being asked to, with the reason.
    pub(crate) fn left(&self) -> BTreeMap<String, String> {
        self.lock().left.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Occupancy {
    /// Ends the hold, and says why, if nobody asked for that and no other has the queue.
    pub(crate) fn leave(self, reason: Option<String>) {
        let (queues, queue) = (self.queues.clone(), self.queue.clone());
        drop(self);
        let mut noted = queues.lock();
        if let Some(reason) = reason
            && !noted.occupied.contains_key(&queue)
        {
            noted.left.insert(queue, reason);
        }
    }
}

impl Drop for Occupancy {
    fn drop(&mut self) {
        let mut noted = self.queues.lock();
        if let Some((_, count)) = noted.occupied.get_mut(&self.queue) {
            *count -= 1;
            if *count == 0 {
                noted.occupied.remove(&self.queue);
            }
        }
    }
}

impl Occupant {
    /// `true` if both take the same messages.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Service(one), Self::Service(other)) => {
                one.name == other.name
                    && one.methods == other.methods
                    && one.partitions == other.partitions
            }
            (Self::Group { event: one, .. }, Self::Group { event: other, .. }) => one == other,
            _ => false,
        }
    }

    /// The setting that names the queue.
    fn setting(&self) -> &'static str {
        match self {
            Self::Service(_) => "queue",
            Self::Group { .. } => "group",
        }
    }

    /// The service or group, for errors and logs.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Service(contract) => format!("service {}", contract.name),
            Self::Group { name, .. } => format!("group {name}"),
        }
    }
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(contract) => {
                let methods: Vec<&str> = contract.methods.iter().map(|m| m.name).collect();
                write!(f, "service {} ({})", contract.name, methods.join(", "))
            }
            Self::Group { name, event } => write!(f, "group {name:?} of events {event:?}"),
        }
    }
}
