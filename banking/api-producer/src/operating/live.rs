//! `/services/status/live`: the same as it changes, as server-sent events.

use crate::{
    gateway::Gateway,
    problem::Problem,
    request::Admin,
    routes::openapi::{Forbidden, Guessing, Unavailable},
};
use axum::{
    extract::State,
    response::{IntoResponse as _, Response, Sse, sse::Event},
};
use futures_util::stream;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Between two events.
const EVERY: Duration = Duration::from_secs(2);
/// Events after which a watcher has to ask again, with a secret that is still right: ten minutes.
const EVENTS_MAX: u32 = 300;
/// Administrators who watch one gateway at the same time.
const WATCHERS_MAX: usize = 32;

/// Who watches. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Watchers {
    places: Arc<Semaphore>,
    over: CancellationToken,
}

impl Watchers {
    /// Nobody yet.
    pub(crate) fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(WATCHERS_MAX)),
            over: CancellationToken::new(),
        }
    }

    /// Ends all that is watched: the gateway stops.
    pub(crate) fn close(&self) {
        self.over.cancel();
    }
}

/// What one of them gets.
struct Watch {
    gateway: Arc<Gateway>,
    tick: tokio::time::Interval,
    left: u32,
    _place: OwnedSemaphorePermit,
}

impl Watch {
    async fn next(mut self) -> Option<(Result<Event, axum::Error>, Self)> {
        self.left = self.left.checked_sub(1)?;
        let over = self.gateway.watchers.over.clone();
        let looking = async {
            self.tick.tick().await;
            self.gateway.looks.status(&self.gateway).await
        };
        let status = over.run_until_cancelled_owned(looking).await?;
        let event = Event::default().event("status").json_data(&*status);
        Some((event, self))
    }
}

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default().routes(routes!(live))
}

/// What `/services/status` says, every two seconds: events named `status`. It ends after ten minutes,
/// and when the gateway stops; a client asks again then.
#[utoipa::path(
    get,
    path = "/services/status/live",
    tag = "operating",
    security(("admin" = [])),
    responses(
        (status = OK, body = String, content_type = "text/event-stream"),
        Forbidden, Guessing, Unavailable
    )
)]
async fn live(State(gateway): State<Arc<Gateway>>, _: Admin) -> Result<Response, Problem> {
    let place = Arc::clone(&gateway.watchers.places).try_acquire_owned();
    let place = place.map_err(|_| Problem::not_available())?;
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch = Watch {
        gateway,
        tick,
        left: EVENTS_MAX,
        _place: place,
    };
    Ok(Sse::new(stream::unfold(watch, Watch::next)).into_response())
}
