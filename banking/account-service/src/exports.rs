//! How many entries are read as streams for each user at a time: a process of the gateway has room
//! for some hundred streams, and one user who leaves theirs open would take it from all others.

use contracts::UserId;
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Streams of one user that are open at once, for each process of this service: a person saves one
/// file, and another that seems to hang.
pub(crate) const OF_USER_MAX: u32 = 4;

/// The streams that are open. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exports(Arc<Mutex<HashMap<UserId, u32>>>);

/// One that is open, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenExport {
    user: UserId,
    exports: Exports,
}

impl Exports {
    /// Opens one, unless the user has as many as allowed.
    pub(crate) fn open(&self, user: UserId) -> Option<OpenExport> {
        let mut open = self.lock();
        let of_user = open.entry(user).or_default();
        if *of_user >= OF_USER_MAX {
            return None;
        }
        *of_user += 1;
        drop(open);
        let exports = self.clone();
        Some(OpenExport { user, exports })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenExport {
    fn drop(&mut self) {
        if let Entry::Occupied(mut of_user) = self.exports.lock().entry(self.user) {
            *of_user.get_mut() = of_user.get().saturating_sub(1);
            if *of_user.get() == 0 {
                of_user.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_so_many_and_what_ends_makes_room() {
        let exports = Exports::default();
        let (ada, bob) = (UserId::new(), UserId::new());
        let mut open: Vec<_> = (0..OF_USER_MAX)
            .map(|_| exports.open(ada).unwrap())
            .collect();
        assert!(exports.open(ada).is_none());
        let his = exports.open(bob).unwrap();
        open.pop();
        open.push(exports.open(ada).unwrap());
        assert!(exports.open(ada).is_none());
        drop((open, his));
        assert!(exports.lock().is_empty(), "nobody is remembered");
    }
}
