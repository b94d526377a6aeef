//! `/ws`: notifications as they are stored, over a WebSocket.
//!
//! It touches no database, and so can be mounted in any process that has the keys and the feed.

mod origin;
mod serve;
mod socket;

#[cfg(test)]
mod tests;

pub use origin::{InvalidOrigin, Origin};
pub use serve::serve;

use crate::feed::{Feed, SubscribeError, Subscription};
use axum::{
    Extension, Json, Router,
    extract::{
        Query, State,
        rejection::QueryRejection,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use chassis::{Identity, User, http::Taken};
use contracts::Refused;
use serde::Deserialize;
use serde_json::json;
use socket::{CloseReason, Socket};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The store of sessions answers within this or is away.
const VERIFIED_WITHIN: Duration = Duration::from_secs(3);
/// Clients have nothing to say.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Messages that a client may send between two pings, its answer to the ping among them.
const MESSAGES_MAX: u32 = 64;
/// Bytes that are read from a socket at once. Allocated for each, so that the default would take
/// more than a gigabyte for 10,000.
const READ_BYTES: usize = 1024;

/// Limits of the sockets of one router.
#[derive(Debug, Clone)]
pub(crate) struct SocketLimits {
    /// Sockets that may be open; those beyond are closed with 1013.
    pub(crate) open_max: usize,
    /// Sockets that one user may have open in a process; those beyond are closed with 1013.
    pub(crate) of_user_max: usize,
    /// Between two looks whether a session still lasts.
    pub(crate) verify_every: Duration,
    /// Between two pings of a client.
    pub(crate) ping_every: Duration,
    /// A client that gives no sign of life for so long is gone.
    pub(crate) silence_max: Duration,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self {
            open_max: 10_000,
            of_user_max: 20,
            verify_every: Duration::from_secs(5),
            ping_every: Duration::from_secs(20),
            silence_max: Duration::from_secs(60),
        }
    }
}

/// The route `/ws?session=`.
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
/// The token is in the address: whatever stands in front must not log query strings. A page may
/// open a socket if it comes from where it asks, or from one of `origins`; others get a 403.
///
/// Whoever mounts it calls [`Feed::close`] when it stops.
pub fn router(identity: Identity, feed: Feed, origins: Vec<Origin>) -> Router {
    router_within(identity, feed, origins, SocketLimits::default())
}

/// [`router`], with other limits.
pub(crate) fn router_within(
    identity: Identity,
    feed: Feed,
    origins: Vec<Origin>,
    limits: SocketLimits,
) -> Router {
    feed.end_with_sessions_of(&identity);
    let sockets = Sockets {
        identity,
        feed,
        origins,
        permits: Arc::new(Semaphore::new(limits.open_max.min(Semaphore::MAX_PERMITS))),
        limits,
    };
    Router::new()
        .route("/ws", get(connect))
        .with_state(Arc::new(sockets))
}

/// State that all sockets of a router share.
struct Sockets {
    identity: Identity,
    feed: Feed,
    origins: Vec<Origin>,
    permits: Arc<Semaphore>,
    limits: SocketLimits,
}

#[derive(Deserialize)]
struct Parameters {
    session: Option<String>,
}

/// A socket that may stay.
struct Admitted {
    session: String,
    subscription: Subscription,
    permit: OwnedSemaphorePermit,
}

/// The socket is open for its client when this has answered, so it is subscribed by then.
async fn connect(
    State(sockets): State<Arc<Sockets>>,
    headers: HeaderMap,
    parameters: Result<Query<Parameters>, QueryRejection>,
    taken: Option<Extension<Taken>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(refused) => {
            let detail = Json(json!({ "detail": refused.body_text() }));
            return (refused.status(), detail).into_response();
        }
    };
    if !origin::may_connect(&headers, &sockets.origins) {
        let detail = Json(json!({ "detail": "Pages of this origin may not connect" }));
        return (StatusCode::FORBIDDEN, detail).into_response();
    }
    let session = parameters
        .ok()
        .and_then(|Query(parameters)| parameters.session);
    let admitted = sockets.admit(session).await;
    let upgrade = upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0);
    let taken = taken.map(|Extension(taken)| taken);
    upgrade.on_upgrade(move |socket| async move {
        let socket = Socket::new(socket, taken);
        sockets.feed.run(socket.serve(&sockets, admitted)).await;
    })
}

impl Sockets {
    async fn admit(&self, session: Option<String>) -> Result<Admitted, CloseReason> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|_| CloseReason::TooMany)?;
        let session = session.ok_or(CloseReason::Refused)?;
        let verified = self.verify(&session).await;
        let user = verified.map_err(CloseReason::of)?;
        let subscribed = self.feed.subscribe(&user, self.limits.of_user_max).await;
        let subscription = subscribed.map_err(|error| match error {
            SubscribeError::TooMany => CloseReason::TooMany,
            SubscribeError::Disconnected => CloseReason::Unavailable,
        })?;
        // It may have ended before it was subscribed, and nobody would have told.
        self.verify(&session).await.map_err(CloseReason::of)?;
        Ok(Admitted {
            session,
            subscription,
            permit,
        })
    }

    /// The user of a session, if it lasts now.
    async fn verify(&self, session: &str) -> Result<User, Refused> {
        let verified = timeout(VERIFIED_WITHIN, self.identity.user_of(session)).await;
        verified.unwrap_or(Err(Refused::Unavailable))
    }
}
