//! The health of a store, kept by those who find out: can replies be stored, can they be heard.

use replybus::reply::StoreHealth;
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::Notify;

/// Shared by the writer and the listener of one store.
#[derive(Debug, Default)]
pub(crate) struct Health {
    storing: State,
    hearing: State,
    /// Wakes the probe that finds out when storing works again.
    storing_failed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Spares the lock while all is well.
    down: AtomicBool,
    reason: Mutex<Option<String>>,
}

impl Health {
    pub(crate) fn storing_works(&self) {
        if self.storing.set(None) {
            tracing::info!("replies can be stored in Redis again");
        }
    }

    pub(crate) fn storing_fails(&self, reason: &str) {
        if self.storing.set(Some(reason)) {
            tracing::warn!(reason, "replies can't be stored in Redis");
        }
        self.storing_failed.notify_one();
    }

    pub(crate) fn hearing_works(&self) {
        if self.hearing.set(None) {
            tracing::info!("replies are heard from Redis again");
        }
    }

    pub(crate) fn hearing_fails(&self, reason: &str) {
        if self.hearing.set(Some(reason)) {
            tracing::warn!(reason, "replies can't be heard from Redis");
        }
    }

    pub(crate) fn is_storing(&self) -> bool {
        !self.storing.down.load(Ordering::Acquire)
    }

    pub(crate) async fn storing_failed(&self) {
        self.storing_failed.notified().await;
    }

    pub(crate) fn report(&self) -> StoreHealth {
        let storing = self.storing.reason().clone();
        let hearing = self.hearing.reason().clone();
        match (storing, hearing) {
            (None, None) => StoreHealth::Up,
            (Some(reason), _) => StoreHealth::Down(format!("replies can't be stored: {reason}")),
            (None, Some(reason)) => StoreHealth::Down(format!("replies can't be heard: {reason}")),
        }
    }
}

impl State {
    /// Returns whether that went from up to down, or back.
    fn set(&self, reason: Option<&str>) -> bool {
        if reason.is_none() && !self.down.load(Ordering::Acquire) {
            return false;
        }
        let mut current = self.reason();
        let changed = current.is_some() != reason.is_some();
        *current = reason.map(str::to_owned);
        self.down.store(reason.is_some(), Ordering::Release);
        changed
    }

    fn reason(&self) -> MutexGuard<'_, Option<String>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_up_only_while_both_work() {
        let health = Health::default();
        assert_eq!(health.report(), StoreHealth::Up);
        health.hearing_fails("gone");
        assert_eq!(
            health.report(),
            StoreHealth::Down("replies can't be heard: gone".into())
        );
        health.storing_fails("full");
        assert_eq!(
            health.report(),
            StoreHealth::Down("replies can't be stored: full".into())
        );
        health.storing_works();
        health.hearing_works();
        assert_eq!(health.report(), StoreHealth::Up);
    }
}
