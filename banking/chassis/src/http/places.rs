//! The places that one address may take, so that the others find some.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OwnedSemaphorePermit;

/// What a connection takes until the last of its clones is dropped: one of the connections that may
/// be open, and a place of its address. It is among the extensions of each request, and a WebSocket,
/// which outlives the task of its connection, is to keep it to its end.
#[derive(Debug, Clone)]
pub struct Taken {
    _connection: Option<Arc<OwnedSemaphorePermit>>,
    _place: Arc<Place>,
}

impl Taken {
    pub(super) fn new(connection: OwnedSemaphorePermit, place: Place) -> Self {
        Self {
            _connection: Some(Arc::new(connection)),
            _place: Arc::new(place),
        }
    }

    /// The place of its address alone, for who counts among others than connections.
    #[must_use]
    pub fn of_address(self) -> Self {
        Self {
            _connection: None,
            ..self
        }
    }
}

/// Connections that are open, by the address they come from.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A place that is taken until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    /// So many for each address.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            taken: Mutex::default(),
        })
    }

    /// A place for this address, if it has one left.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = site(address);
        let mut all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = all.entry(address).or_default();
        if *taken >= self.max {
            return None;
        }
        *taken += 1;
        Some(Place {
            places: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let all = &self.places.taken;
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = all.get_mut(&self.address) {
            *taken -= 1;
            if *taken == 0 {
                all.remove(&self.address);
            }
        }
    }
}

/// The part of a network that one subscriber has: an address, or of IPv6 the first 64 bits of many.
#[must_use]
pub fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            Ipv6Addr::from(network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_leaves_those_of_others() {
        let places = Places::new(2);
        let take = |address: &str| places.take(address.parse().unwrap());
        let first = take("192.0.2.1");
        let second = take("::ffff:192.0.2.1");
        assert!(first.is_some() && second.is_some());
        assert!(take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        drop(first);
        assert!(take("192.0.2.1").is_some());
        let many = ["2001:db8::1", "2001:db8::2"].map(take);
        assert!(many.iter().all(Option::is_some));
        assert!(take("2001:db8::3").is_none(), "they are one subscriber's");
        assert!(take("2001:db8:0:1::3").is_some());
        drop((second, many));
        assert!(places.taken.lock().unwrap().is_empty());
    }
}
