//! Products that were read lately, under `product:{id}` in Redis, or in this process without one.
//!
//! Who finds nothing leaves a token there, reads the database, and puts the product where its token
//! still is. A change takes away whatever is there: so who read the product before the change can't
//! put it there after it.

mod place;

use super::table::Product;
use crate::Platform;
use place::{CacheError, Place};
use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use uuid::Uuid;

/// The cache. Whatever fails here, the database answers instead. Clones share it.
#[derive(Clone)]
pub(super) struct ProductCache {
    place: Place,
    prefix: Arc<str>,
    ttl: Duration,
    /// Products that changed and that Redis was not told of yet, each with the change: what it holds
    /// of them is not true.
    owed: Arc<Mutex<HashMap<i64, Uuid>>>,
}

/// The answer of the cache.
pub(super) enum Kept {
    /// The product.
    Hit(Product),
    /// Nothing. Who was given a token may put the product there.
    Miss(Option<String>),
}

impl ProductCache {
    pub(super) fn new(platform: &Platform) -> Self {
        let namespace = &platform.settings.namespace;
        let place = platform.redis.clone();
        Self {
            place: place.map_or_else(|| Place::Process(Arc::default()), Place::Redis),
            prefix: if namespace.is_empty() {
                "product:".into()
            } else {
                format!("{namespace}.product:").into()
            },
            ttl: Duration::from_secs(platform.settings.cache_ttl),
            owed: Arc::default(),
        }
    }

    /// The product, if it is there.
    pub(super) async fn get(&self, id: i64) -> Kept {
        let is_owed = lock(&self.owed).contains_key(&id);
        if is_owed {
            self.invalidate(id).await;
        }
        let (kept, outcome) = match self.look(id).await {
            Ok(kept @ Kept::Hit(_)) => (kept, "hit"),
            Ok(kept @ Kept::Miss(_)) => (kept, "miss"),
            Err(error) => {
                report(&error);
                (Kept::Miss(None), "away")
            }
        };
        metrics::counter!("shop_product_cache_total", "outcome" => outcome).increment(1);
        kept
    }

    async fn look(&self, id: i64) -> Result<Kept, CacheError> {
        let key = self.key(id);
        if let Some(text) = self.place.get(&key).await?
            && !lock(&self.owed).contains_key(&id)
        {
            // Somebody's token is no product.
            let product = serde_json::from_str(&text).ok();
            return Ok(product.map_or(Kept::Miss(None), Kept::Hit));
        }
        let token = Uuid::new_v4().simple().to_string();
        let is_free = self.place.add(&key, &token).await?;
        Ok(Kept::Miss(is_free.then_some(token)))
    }

    /// Keeps a product that was read from the database, unless it has changed since the token was
    /// given.
    pub(super) async fn put(&self, product: &Product, token: &str) {
        let Ok(text) = serde_json::to_string(product) else {
            return;
        };
        let key = self.key(product.id);
        if let Err(error) = self.place.exchange(&key, token, text, self.ttl).await {
            report(&error);
        }
    }

    /// Says that a product has changed. If Redis is away it is told before this process next
    /// believes it.
    pub(super) async fn invalidate(&self, id: i64) {
        let change = Uuid::new_v4();
        lock(&self.owed).insert(id, change);
        match self.place.remove(&self.key(id)).await {
            // One that came meanwhile tells of itself.
            Ok(()) => lock(&self.owed).retain(|_, owed| *owed != change),
            Err(error) => report(&error),
        }
    }

    fn key(&self, id: i64) -> String {
        format!("{}{id}", self.prefix)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one call, so a panic leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn report(error: &CacheError) {
    tracing::debug!(error = error as &dyn Error, "the cache is away");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Settings, price::Price};

    fn pen(price: i64) -> Product {
        Product {
            id: 7,
            name: "pen".to_owned(),
            description: String::new(),
            price: Price::of_minor(price),
            quantity: 1,
        }
    }

    async fn missed(cache: &ProductCache) -> Option<String> {
        match cache.get(7).await {
            Kept::Hit(product) => panic!("{product:?}"),
            Kept::Miss(token) => token,
        }
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_kept_after_it() {
        let platform = Platform::connect(Settings::default()).await.unwrap();
        let cache = ProductCache::new(&platform);
        let before = missed(&cache).await.unwrap();
        assert!(missed(&cache).await.is_none(), "one of them is enough");
        cache.invalidate(7).await;
        cache.put(&pen(100), &before).await;
        let after = missed(&cache).await.unwrap();
        cache.put(&pen(120), &after).await;
        assert!(matches!(cache.get(7).await, Kept::Hit(product) if product == pen(120)));
    }
}
