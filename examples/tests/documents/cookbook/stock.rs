//! The service that most recipes call.

use replybus::queue_handler;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("only {left} are left")]
pub struct SoldOut {
    pub left: u32,
}

#[queue_handler("stock.requests", timeout = "2s")]
pub trait Stock {
    /// How many there are.
    #[query]
    async fn count(&self, article: String) -> Result<u32, SoldOut>;

    /// Takes some, once per idempotency key; returns how many are left.
    async fn take(&self, article: String, pieces: u32) -> Result<u32, SoldOut>;
}

use replybus::{Bus, SetupError, server::Serving};
use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What a recipe comes to.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// Ten pens, and nothing else. A truck is never found.
pub(crate) struct Shelf(Mutex<BTreeMap<String, u32>>);

impl Default for Shelf {
    fn default() -> Self {
        Self(Mutex::new([("pen".to_owned(), 10)].into()))
    }
}

impl Shelf {
    fn articles(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stock for Shelf {
    async fn count(&self, article: String) -> Result<u32, SoldOut> {
        if article == "truck" {
            std::future::pending::<()>().await;
        }
        Ok(self.articles().get(&article).copied().unwrap_or_default())
    }

    async fn take(&self, article: String, pieces: u32) -> Result<u32, SoldOut> {
        let mut articles = self.articles();
        let left = articles.entry(article).or_default();
        *left = left.checked_sub(pieces).ok_or(SoldOut { left: *left })?;
        Ok(*left)
    }
}

/// Serves a new shelf.
pub(crate) async fn serve(bus: &Bus) -> Result<(Serving, StockClient), SetupError> {
    let serving = bus.serve(StockServer::new(Shelf::default())).await?;
    Ok((serving, StockClient::new(bus)))
}
