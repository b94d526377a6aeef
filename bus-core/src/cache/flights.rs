//! Calls of one process that wait for the same answer: one of them looks for it or has it computed,
//! and the others wait for that one.

use crate::{client::CallResponse, reply::CacheKey};
use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

type ByKey = Mutex<HashMap<CacheKey, watch::Receiver<Option<Landing>>>>;

/// The answers that are being waited for.
#[derive(Default)]
pub(super) struct Flights(Arc<ByKey>);

/// What those who waited get.
#[derive(Clone)]
pub(super) enum Landing {
    /// This answer, which is true for all who looked for it before.
    Shared(CallResponse),
    /// Nothing: each makes a call of its own.
    Alone,
    /// Nothing: each looks again.
    Again,
}

/// What a call is among those that want the same.
pub(super) enum Boarding {
    /// The first: the others wait for it.
    Leads(Leader),
    /// One of the others.
    Waits(watch::Receiver<Option<Landing>>),
}

impl Flights {
    pub(super) fn board(&self, key: &CacheKey) -> Boarding {
        match lock(&self.0).entry(key.clone()) {
            Entry::Occupied(flight) => Boarding::Waits(flight.get().clone()),
            Entry::Vacant(place) => {
                let (landing, ended) = watch::channel(None);
                place.insert(ended);
                Boarding::Leads(Leader {
                    flights: Arc::clone(&self.0),
                    key: key.clone(),
                    landing,
                })
            }
        }
    }

    /// The same of one that has the answer computed; `None` if there is a first already, which will
    /// find it.
    pub(super) fn lead(&self, key: &CacheKey) -> Option<Leader> {
        match self.board(key) {
            Boarding::Leads(leader) => Some(leader),
            Boarding::Waits(_) => None,
        }
    }
}

/// The call that others wait for. Dropped, they look again.
pub(super) struct Leader {
    flights: Arc<ByKey>,
    key: CacheKey,
    landing: watch::Sender<Option<Landing>>,
}

impl Leader {
    /// Tells those who wait what came of it. Whoever comes from now on does not wait for it.
    pub(super) fn land(self, landing: Landing) {
        lock(&self.flights).remove(&self.key);
        self.landing.send_replace(Some(landing));
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let mut flights = lock(&self.flights);
        // It has landed, and another may be under way.
        if self.landing.borrow().is_none() {
            flights.remove(&self.key);
        }
    }
}

/// Waits for what a leader comes to.
pub(super) async fn landing(mut ended: watch::Receiver<Option<Landing>>) -> Landing {
    match ended.wait_for(Option::is_some).await {
        Ok(landing) => landing.clone().unwrap_or(Landing::Again),
        // It was dropped.
        Err(_) => Landing::Again,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flights")
            .field(&lock(&self.0).len())
            .finish()
    }
}
