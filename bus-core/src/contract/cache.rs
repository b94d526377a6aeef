//! The cache of a query's answers, as its contract has it.

use crate::limits::CACHE_TTL_MAX;
use std::time::Duration;

/// `#[query(cache = "300s", tags("product:{id}"), vary("tenant"))]`: how long answers of a query are
/// kept, what invalidates them, and for whom they are.
///
/// An answer is kept in the reply store, and given to **every** caller that asks with the same
/// arguments. If it depends on who asks, or on anything else in the metadata of a call, that has to
/// be said: [`vary`](Self::vary).
///
/// ```
/// use replybus::contract::{CachePolicy, MethodContract, MethodKind, ServiceContract};
/// use std::time::Duration;
///
/// static PRODUCTS: ServiceContract = ServiceContract::new(
///     "Products",
///     "product.requests",
///     &[
///         MethodContract::new("product", MethodKind::Query)
///             .cache(CachePolicy::new(Duration::from_secs(300)).tags(&["product:{id}"])),
///         MethodContract::new("rename", MethodKind::Command).invalidates(&["product:{id}"]),
///     ],
/// );
/// # let (_, product) = PRODUCTS.method("product").unwrap();
/// # assert_eq!(product.cache.as_ref().unwrap().tags, ["product:{id}"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachePolicy {
    /// How long an answer is given to others, counted from when it was asked for.
    pub ttl: Duration,
    /// What answers are kept under besides their arguments; see [`tags`](Self::tags).
    pub tags: &'static [&'static str],
    /// The metadata that answers depend on; see [`vary`](Self::vary).
    pub vary: &'static [&'static str],
}

impl CachePolicy {
    /// Answers are kept for `ttl`, up to [`CACHE_TTL_MAX`]; with none nothing is.
    #[must_use]
    pub const fn new(ttl: Duration) -> Self {
        let ttl = if ttl.as_millis() > CACHE_TTL_MAX.as_millis() {
            CACHE_TTL_MAX
        } else {
            ttl
        };
        Self {
            ttl,
            tags: &[],
            vary: &[],
        }
    }

    /// Sets the tags of an answer, by which commands [invalidate](super::MethodContract::invalidates)
    /// it: texts in which `{name}` stands for an argument that is a text, a whole number, or true or
    /// false. Up to [`CACHE_TAGS_MAX`](crate::limits::CACHE_TAGS_MAX).
    #[must_use]
    pub const fn tags(mut self, tags: &'static [&'static str]) -> Self {
        self.tags = tags;
        self
    }

    /// Sets the names of the metadata that an answer depends on: each of its values has answers of
    /// its own, and so has none. Only digests of the values are stored.
    #[must_use]
    pub const fn vary(mut self, names: &'static [&'static str]) -> Self {
        self.vary = names;
        self
    }
}
