//! A map whose entries expire.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap},
    hash::Hash,
    time::Duration,
};
use tokio::time::Instant;

/// Expired entries removed per insertion: more than one, so that they never pile up, and few, so
/// that no caller pays for a thousand others.
const SWEEP_MAX: usize = 16;

/// As good as never, where a time lies beyond what the clock can count to.
const YEARS_30: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Entries with a time after which they are not seen, and soon not held.
#[derive(Debug)]
pub(super) struct Expiring<K, V> {
    entries: HashMap<K, (Instant, V)>,
    by_expiry: BTreeSet<(Instant, K)>,
}

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            by_expiry: BTreeSet::new(),
        }
    }
}

impl<K: Clone + Eq + Hash + Ord, V> Expiring<K, V> {
    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (expires, value) = self.entries.get(key)?;
        (*expires > Instant::now()).then_some(value)
    }

    pub(super) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (expires, value) = self.entries.get_mut(key)?;
        (*expires > Instant::now()).then_some(value)
    }

    /// Sets an entry and when it expires, counted from now.
    pub(super) fn insert(&mut self, key: K, value: V, ttl: Duration) {
        let now = Instant::now();
        self.sweep(now);
        let expires = after(now, ttl);
        if let Some((before, _)) = self.entries.insert(key.clone(), (expires, value)) {
            self.by_expiry.remove(&(before, key.clone()));
        }
        self.by_expiry.insert((expires, key));
    }

    pub(super) fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some((key, (expires, _))) = self.entries.remove_entry(key) {
            self.by_expiry.remove(&(expires, key));
        }
    }

    fn sweep(&mut self, now: Instant) {
        for _ in 0..SWEEP_MAX {
            if self.by_expiry.first().is_none_or(|(at, _)| *at > now) {
                return;
            }
            if let Some((_, key)) = self.by_expiry.pop_first() {
                self.entries.remove(&key);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.by_expiry.len());
        self.entries.len()
    }
}

/// The time `wait` after `now`.
pub(super) fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now + YEARS_30)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_seen_until_it_expires() {
        let mut map = Expiring::default();
        map.insert("key", 1, SECOND);
        assert_eq!(map.get("key"), Some(&1));
        tokio::time::advance(SECOND).await;
        assert_eq!(map.get("key"), None);
        map.insert("key", 2, Duration::MAX);
        tokio::time::advance(1_000_000 * SECOND).await;
        assert_eq!(map.get("key"), Some(&2));
        map.remove("key");
        assert_eq!(map.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn many_entries_leave_no_trace() {
        let mut map = Expiring::default();
        let mut most = 0;
        for number in 0..100_000_u32 {
            // A second's worth is 1,000 entries; a tenth of them are set twice.
            map.insert(number, (), SECOND);
            map.insert(number - number % 10, (), SECOND);
            if number % 1_000 == 0 {
                tokio::time::advance(SECOND).await;
            }
            most = most.max(map.len());
        }
        assert!(most <= 2_000, "held {most} entries");
    }
}
