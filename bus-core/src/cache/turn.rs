//! The turn to compute an answer for others: held on to while that takes, and ended whatever becomes
//! of the call.

use crate::{
    limits::CACHE_WITHIN,
    reply::{CacheEntry, CacheLookup, ReplyStore, StoreError},
};
use bytes::Bytes;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

/// A turn, from the look at which it was given. Dropped before its end, it is given up.
pub(super) struct Turn {
    store: Arc<dyn ReplyStore>,
    lookup: CacheLookup,
    versions: Bytes,
    /// From when on its answer is true.
    began: Instant,
    is_over: bool,
}

impl Turn {
    pub(super) fn new(
        store: &Arc<dyn ReplyStore>,
        lookup: CacheLookup,
        versions: Bytes,
        began: Instant,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            is_over: lookup.anew,
            lookup,
            versions,
            began,
        }
    }

    /// Keeps the turn from going to another for as long as it is polled.
    pub(super) async fn hold(&self) -> Infallible {
        loop {
            sleep(self.lookup.lease / 3).await;
            if !self.lookup.anew {
                // At worst another computes it as well.
                let _ = self.store.hold_turn(&self.lookup).await;
            }
        }
    }

    /// Ends it, with an answer to keep or without. Returns whether its tags are as they were when it
    /// began.
    pub(super) async fn end(&mut self, answer: Option<Bytes>) -> Result<bool, StoreError> {
        let ended = self.ended();
        let left = self.lookup.ttl.checked_sub(self.began.elapsed());
        let entry = match (answer, left) {
            (Some(answer), Some(left)) if left >= Duration::from_millis(1) => {
                ended.keep(answer, left)
            }
            _ => ended,
        };
        let valid = self.store.end_turn(&entry).await?;
        self.is_over = true;
        Ok(valid)
    }

    fn ended(&self) -> CacheEntry {
        CacheEntry::ended(&self.lookup, self.versions.clone())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // Otherwise its lease ends it.
        if let Ok(runtime) = Handle::try_current() {
            let (store, entry) = (Arc::clone(&self.store), self.ended());
            runtime.spawn(async move {
                let _ = timeout(CACHE_WITHIN, store.end_turn(&entry)).await;
            });
        }
    }
}
