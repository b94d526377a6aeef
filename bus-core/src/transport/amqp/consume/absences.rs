//! The queues that should be consumed and are not, with the reason: a service without its consumer
//! is up in every other respect.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The absences of all consumers of one transport.
#[derive(Debug, Clone, Default)]
pub(crate) struct Absences(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    last: u64,
    /// Queue and reason, by consumer: one queue may have several.
    absent: HashMap<u64, (String, String)>,
}

/// One consumer's absence; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Absence {
    absences: Absences,
    number: u64,
}

impl Absences {
    /// Notes that a consumer of `queue` is gone.
    pub(super) fn note(&self, queue: &str, reason: &str) -> Absence {
        let mut noted = self.noted();
        noted.last += 1;
        let number = noted.last;
        let entry = (queue.to_owned(), reason.to_owned());
        noted.absent.insert(number, entry);
        drop(noted);
        Absence {
            absences: self.clone(),
            number,
        }
    }

    /// Queue and reason.
    pub(crate) fn all(&self) -> BTreeMap<String, String> {
        self.noted().absent.values().cloned().collect()
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Absence {
    /// The reason is another by now.
    pub(super) fn because(&self, reason: &str) {
        if let Some(entry) = self.absences.noted().absent.get_mut(&self.number) {
            reason.clone_into(&mut entry.1);
        }
    }
}

impl Drop for Absence {
    fn drop(&mut self) {
        self.absences.noted().absent.remove(&self.number);
    }
}
