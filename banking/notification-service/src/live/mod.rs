//! `/ws`: notifications as they are stored, over a WebSocket.
//!
//! It touches no database, and so can be mounted in any process that has the keys and the feed.

mod serve;
mod socket;

#[cfg(test)]
pub(crate) mod client;
#[cfg(test)]
mod tests;

pub use serve::serve_live;

use crate::feed::{Feed, NoSeat, Seat};
use axum::{
    Json, Router,
    extract::{
        Query, State,
        rejection::QueryRejection,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use chassis::{Identity, User};
use contracts::Refused;
use serde::Deserialize;
use serde_json::json;
use socket::{End, Socket};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The store of sessions answers within this or is away.
const LOOK_WITHIN: Duration = Duration::from_secs(3);
/// Clients have nothing to say.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Bytes that are read from a socket at once. Allocated for each, so that the default would take
/// more than a gigabyte for 10,000.
const READ_BYTES: usize = 1024;

/// Limits of the sockets of one router.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// Sockets that may be open; those beyond are closed with 1013.
    pub sockets_max: usize,
    /// Sockets that one user may have open in a process; those beyond are closed with 1013.
    pub sockets_of_user_max: usize,
    /// How often it is looked whether a session still lasts.
    pub look_every: Duration,
    /// How often a client is asked for a sign of life.
    pub ping_every: Duration,
    /// A client that gives none for so long is gone.
    pub silence_max: Duration,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self {
            sockets_max: 10_000,
            sockets_of_user_max: 20,
            look_every: Duration::from_secs(5),
            ping_every: Duration::from_secs(20),
            silence_max: Duration::from_secs(60),
        }
    }
}

/// The route `/ws?session=`, with the default [`LiveSettings`].
///
/// A socket is accepted and then closed with a code if it can't stay: browsers show no other
/// reason.
///
/// | code | | what a client does |
/// |---|---|---|
/// | 1008 | the session is missing, not valid, or has ended | logs in |
/// | 1013 | too many sockets, or what they need is away | connects again later |
/// | 1012 | something may have been missed | connects again, and then fetches the list |
/// | 1001 | this process stops | the same |
///
/// The token is in the address: whatever stands in front must not log query strings.
///
/// Whoever mounts it calls [`Feed::close`] when it stops.
pub fn live_router(identity: Identity, feed: Feed) -> Router {
    live_router_with(identity, feed, LiveSettings::default())
}

/// [`live_router`], with other limits.
pub fn live_router_with(identity: Identity, feed: Feed, settings: LiveSettings) -> Router {
    let live = Live {
        identity,
        feed,
        places: Arc::new(Semaphore::new(
            settings.sockets_max.min(Semaphore::MAX_PERMITS),
        )),
        settings,
    };
    Router::new()
        .route("/ws", get(connect))
        .with_state(Arc::new(live))
}

/// What all sockets of a router share.
struct Live {
    identity: Identity,
    feed: Feed,
    places: Arc<Semaphore>,
    settings: LiveSettings,
}

#[derive(Deserialize)]
struct Asked {
    session: Option<String>,
}

/// A socket that may stay.
struct Admitted {
    session: String,
    seat: Seat,
    _place: OwnedSemaphorePermit,
}

/// The socket is open for its client when this has answered, so it has its seat by then.
async fn connect(
    State(live): State<Arc<Live>>,
    asked: Result<Query<Asked>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(refused) => {
            let detail = Json(json!({ "detail": refused.body_text() }));
            return (refused.status(), detail).into_response();
        }
    };
    let session = asked.ok().and_then(|Query(asked)| asked.session);
    let admitted = live.admit(session).await;
    let upgrade = upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0);
    upgrade.on_upgrade(move |socket| async move {
        let socket = Socket::new(socket);
        live.feed.run(socket.serve(&live, admitted)).await;
    })
}

impl Live {
    async fn admit(&self, session: Option<String>) -> Result<Admitted, End> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| End::Full)?;
        let session = session.ok_or(End::Refused)?;
        let user = self.look(&session).await.map_err(|refused| match refused {
            Refused::Unauthenticated | Refused::Forbidden => End::Refused,
            Refused::Unavailable => End::Unavailable,
        })?;
        let seat = self.feed.seat(user.id, self.settings.sockets_of_user_max);
        let seat = seat.await.map_err(|none| match none {
            NoSeat::Full => End::Full,
            NoSeat::Deaf => End::Unavailable,
        })?;
        Ok(Admitted {
            session,
            seat,
            _place: place,
        })
    }

    /// Whose session it is, as of now.
    async fn look(&self, session: &str) -> Result<User, Refused> {
        let looked = timeout(LOOK_WITHIN, self.identity.user_of(session)).await;
        looked.unwrap_or(Err(Refused::Unavailable))
    }
}
