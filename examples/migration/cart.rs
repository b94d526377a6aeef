//! A service that takes over the work of a Celery task, `carts.add`. That it is called by Celery and
//! calls Celery is shown by the tests of the clients in other languages.

use replybus::queue_handler;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CartError {
    #[error("no more than {0} cents")]
    LimitReached(i64),
}

#[queue_handler("cart.requests")]
pub trait Cart {
    /// Puts something into a cart, once per idempotency key; returns what is in it.
    async fn add(&self, cart: String, cents: i64) -> Result<i64, CartError>;
}

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

#[derive(Debug, Default)]
pub struct Carts(Mutex<HashMap<String, i64>>);

impl Cart for Carts {
    async fn add(&self, cart: String, cents: i64) -> Result<i64, CartError> {
        let mut carts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total = carts.entry(cart).or_default();
        if *total + cents > 1000 {
            return Err(CartError::LimitReached(1000));
        }
        *total += cents;
        Ok(*total)
    }
}
