//! Calls of one process that wait for the same answer: one of them looks for it or has it computed,
//! and the others wait for that one, for as long as it is at work. It is somebody's call, and whoever
//! made it may have left it lying.

use crate::{client::CallResponse, limits::CACHE_LEASE, reply::CacheKey};
use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

type ByKey = Mutex<HashMap<CacheKey, watch::Receiver<Flight>>>;

/// The answers that are being waited for.
#[derive(Default)]
pub(super) struct Flights(Arc<ByKey>);

enum Flight {
    /// Its leader was at work at this moment.
    UnderWay(Instant),
    Landed(Landing),
}

/// What those who waited get.
#[derive(Clone)]
pub(super) enum Landing {
    /// This answer, which is true for all who looked for it before.
    Shared(CallResponse),
    /// Nothing: each makes a call of its own.
    Alone,
    /// Nothing: what the answer depends on changed while it was computed.
    Outdated,
    /// Nothing: each looks again.
    Again,
}

/// What a call is among those that want the same.
pub(super) enum Boarding {
    /// The first: the others wait for it.
    Leads(Leader),
    /// One of the others.
    Waits(Passenger),
}

impl Flights {
    pub(super) fn board(&self, key: &CacheKey) -> Boarding {
        let (flights, key) = (Arc::clone(&self.0), key.clone());
        match lock(&self.0).entry(key.clone()) {
            Entry::Occupied(flight) => Boarding::Waits(Passenger {
                flights,
                key,
                flight: flight.get().clone(),
            }),
            Entry::Vacant(place) => {
                let (state, flight) = watch::channel(Flight::UnderWay(Instant::now()));
                place.insert(flight);
                Boarding::Leads(Leader {
                    flights,
                    key,
                    state,
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
    state: watch::Sender<Flight>,
}

impl Leader {
    /// Says that it is at work.
    pub(super) fn is_at_work(&self) {
        self.state.send_if_modified(|flight| {
            *flight = Flight::UnderWay(Instant::now());
            // Nobody need wake for that.
            false
        });
    }

    /// Says so for as long as it is polled.
    pub(super) async fn works(&self) -> Infallible {
        loop {
            self.is_at_work();
            sleep(CACHE_LEASE / 2).await;
        }
    }

    /// Whoever comes from now on does not wait for it.
    pub(super) fn close(&self) {
        leave(&self.flights, &self.key, &self.state.subscribe());
    }

    /// Tells those who wait what came of it.
    pub(super) fn land(self, landing: Landing) {
        self.close();
        self.state.send_replace(Flight::Landed(landing));
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.close();
    }
}

/// A call that waits for another.
pub(super) struct Passenger {
    flights: Arc<ByKey>,
    key: CacheKey,
    flight: watch::Receiver<Flight>,
}

impl Passenger {
    /// Waits for what the leader comes to. It is not waited for once it was not at work for as long as
    /// a turn is anybody's.
    pub(super) async fn landing(mut self) -> Landing {
        loop {
            let seen = match &*self.flight.borrow() {
                Flight::UnderWay(at) => *at,
                Flight::Landed(landing) => return landing.clone(),
            };
            match timeout_at(seen + CACHE_LEASE, self.flight.changed()).await {
                Ok(Ok(())) => {}
                // It was dropped.
                Ok(Err(_)) => return Landing::Again,
                Err(_) => {
                    let is_left =
                        matches!(&*self.flight.borrow(), Flight::UnderWay(at) if *at == seen);
                    if is_left {
                        leave(&self.flights, &self.key, &self.flight);
                        return Landing::Again;
                    }
                }
            }
        }
    }
}

/// Takes this flight from those that can be boarded; another of its key may be by now.
fn leave(flights: &ByKey, key: &CacheKey, flight: &watch::Receiver<Flight>) {
    let mut flights = lock(flights);
    if flights
        .get(key)
        .is_some_and(|there| there.same_channel(flight))
    {
        flights.remove(key);
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
