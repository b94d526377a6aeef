//! The bound on handlers that run at once.

use crate::error::BoxError;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The permits of one service or subscription in this process.
#[derive(Debug, Clone)]
pub(crate) struct Permits(Arc<Semaphore>);

/// The right to run one handler, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl Permits {
    pub(crate) fn new(concurrency: u16) -> Self {
        Self(Arc::new(Semaphore::new(usize::from(concurrency))))
    }

    /// Waits for a permit.
    pub(crate) async fn acquire(self) -> Result<Permit, BoxError> {
        Ok(Permit {
            _permit: self.0.acquire_owned().await?,
        })
    }
}
