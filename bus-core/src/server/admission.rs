//! The way into a service: a permit, and layers that are ready.

use super::layer::ServerService;
use crate::{
    error::BoxError,
    work::{Permit, Permits},
};
use futures_util::FutureExt;
use tower::{ServiceExt, load_shed::error::Overloaded};

/// Admits requests to one service.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    pipeline: ServerService,
    permits: Permits,
    shed_load: bool,
}

/// The slot of one request, filled or still to be.
#[derive(Debug)]
pub(super) enum Slot {
    Admitted(Admitted),
    /// Decided when the request is there: load is shed.
    Deferred(Admission),
}

/// A request that may run: layers that are ready, and its permit, which it has for as long as it
/// runs.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) pipeline: ServerService,
    pub(super) permit: Permit,
}

impl Admission {
    pub(super) fn new(pipeline: ServerService, concurrency: u16, shed_load: bool) -> Self {
        Self {
            pipeline,
            permits: Permits::new(concurrency),
            shed_load,
        }
    }

    /// Waits until a request may be taken.
    pub(super) async fn slot(self) -> Result<Slot, BoxError> {
        if self.shed_load {
            Ok(Slot::Deferred(self))
        } else {
            self.admit().await.map(Slot::Admitted)
        }
    }

    async fn admit(mut self) -> Result<Admitted, BoxError> {
        let permit = self.permits.acquire().await?;
        self.pipeline.ready().await?;
        Ok(Admitted {
            pipeline: self.pipeline,
            permit,
        })
    }
}

impl Slot {
    /// Admits a request. Where load is shed, one that somebody waits for is refused if there is no
    /// permit at once; of others nobody would learn that, so they wait.
    pub(super) async fn admit(self, awaited: bool) -> Result<Admitted, BoxError> {
        match self {
            Self::Admitted(admitted) => Ok(admitted),
            Self::Deferred(admission) if awaited => {
                let now = admission.admit().now_or_never();
                now.unwrap_or_else(|| Err(Overloaded::new().into()))
            }
            Self::Deferred(admission) => admission.admit().await,
        }
    }
}
