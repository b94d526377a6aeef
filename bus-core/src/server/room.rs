//! Room for a request: the bound on handlers that run at once, and layers that are ready.

use super::pipeline::ServerService;
use crate::error::BoxError;
use futures_util::FutureExt;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{ServiceExt, load_shed::error::Overloaded};

/// The room of one service.
#[derive(Debug, Clone)]
pub(super) struct Room {
    pipeline: ServerService,
    handlers: Arc<Semaphore>,
    shed_load: bool,
}

/// Room for one request, taken or still to be.
#[derive(Debug)]
pub(super) enum Place {
    Taken(Admitted),
    /// Whether to shed a request is known when it is there, not before.
    Open(Room),
}

/// A request's way in: layers that are ready, and its share of the concurrency for as long as it
/// runs.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) pipeline: ServerService,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new(pipeline: ServerService, concurrency: u16, shed_load: bool) -> Self {
        Self {
            pipeline,
            handlers: Arc::new(Semaphore::new(usize::from(concurrency))),
            shed_load,
        }
    }

    /// Waits until a request may be taken.
    pub(super) async fn place(self) -> Result<Place, BoxError> {
        if self.shed_load {
            Ok(Place::Open(self))
        } else {
            self.admit().await.map(Place::Taken)
        }
    }

    async fn admit(mut self) -> Result<Admitted, BoxError> {
        let permit = self.handlers.acquire_owned().await?;
        self.pipeline.ready().await?;
        Ok(Admitted {
            pipeline: self.pipeline,
            permit,
        })
    }
}

impl Place {
    /// Lets a request in. Where load is shed, one that somebody waits for is refused if there is
    /// no room at once; of others nobody would learn that, so they wait.
    pub(super) async fn admit(self, awaited: bool) -> Result<Admitted, BoxError> {
        match self {
            Self::Taken(admitted) => Ok(admitted),
            Self::Open(room) if awaited => {
                let now = room.admit().now_or_never();
                now.unwrap_or_else(|| Err(Overloaded::new().into()))
            }
            Self::Open(room) => room.admit().await,
        }
    }
}
