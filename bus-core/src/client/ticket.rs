//! A submitted call's claim on its reply, which any process can wait on.

use super::{call::read_reply, request::CallRequest};
use crate::{
    bus::Bus,
    call_id::CallId,
    contract::{Outcome, unix_time},
    error::{CallError, CallFailure, FailureKind},
    limits::{CALL_TIMEOUT_MAX, REPLY_TTL, WAIT_MAX},
};
use serde::{Deserialize, Serialize};
use std::{fmt, marker::PhantomData, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// The pause before the second look for a reply, and the longest one.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(2);
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(250);

/// A submitted call. Serialise it, store it, hand it on: whoever holds it and a bus to the same
/// store can wait for the reply, as often as wanted, until the reply expires
/// ([`REPLY_TTL`] after the handler finished).
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Ticket<R> {
    service: String,
    method: String,
    call_id: CallId,
    /// Milliseconds since the Unix epoch, by the submitter's clock.
    expires_at: u64,
    /// More than one copy of the request may have reached the broker.
    #[serde(default)]
    repeated: bool,
    #[serde(skip)]
    outcome: PhantomData<fn() -> R>,
}

impl<R: Outcome> Ticket<R> {
    pub(super) fn of(request: &CallRequest) -> Self {
        // It may start as late as its time to live allows, run as long as a call may, and its
        // reply is kept from then on.
        let life = request.expires_in + CALL_TIMEOUT_MAX + REPLY_TTL;
        let expires_at = unix_time() + life;
        Self {
            service: request.contract.name.to_owned(),
            method: request.method.name.to_owned(),
            call_id: request.id,
            expires_at: u64::try_from(expires_at.as_millis()).unwrap_or(u64::MAX),
            repeated: false,
            outcome: PhantomData,
        }
    }

    /// The same, of a call that was handed over in more than one copy, or not.
    pub(super) fn repeated(self, repeated: bool) -> Self {
        Self { repeated, ..self }
    }

    /// The call's id.
    #[must_use]
    pub fn call_id(&self) -> CallId {
        self.call_id
    }

    /// Waits for the reply until it could have expired.
    ///
    /// # Errors
    /// The handler's own error; that there is no reply; that the store can't be reached for that
    /// long; or that the bus was closed.
    ///
    /// # Cancel safety
    /// Safe; it can be called again.
    pub async fn wait(&self, bus: &Bus) -> Result<R::Ok, CallError<R::Err>> {
        let left = Duration::from_millis(self.expires_at).saturating_sub(unix_time());
        self.wait_for(bus, left).await
    }

    /// Waits for the reply for at most `wait`. The pauses between looks grow with the wait: a
    /// reply is seen at most an eighth later than it could have been, and never by more than
    /// 250 ms.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and that the time is up; the reply can still come.
    ///
    /// # Cancel safety
    /// Safe; it can be called again.
    pub async fn wait_for(&self, bus: &Bus, wait: Duration) -> Result<R::Ok, CallError<R::Err>> {
        let started = Instant::now();
        let bus = bus.inner();
        let looking = async {
            loop {
                // A store that can't be reached for a while does not end a wait.
                match bus.replies.fetch(self.call_id).await {
                    Ok(Some(frame)) => break frame,
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%error, call_id = %self.call_id, "looking again"),
                }
                let pause = (started.elapsed() / 8).clamp(LOOK_AGAIN_MIN, LOOK_AGAIN_MAX);
                sleep(pause).await;
            }
        };
        let about = |failure: CallFailure| {
            failure
                .of_one_copy(self.repeated)
                .named(self.service.clone(), self.method.clone())
                .about(self.call_id, started.elapsed(), wait)
        };
        let failed = |kind| Err(about(CallFailure::new(kind, "", "")).into());
        tokio::select! {
            looked = timeout_at(started + wait.min(WAIT_MAX), looking) => match looked {
                Ok(frame) => read_reply::<R>(&frame, about),
                Err(_) => failed(FailureKind::TimedOut),
            },
            () = bus.closed.cancelled() => failed(FailureKind::Disconnected),
        }
    }
}

impl<R> Clone for Ticket<R> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            method: self.method.clone(),
            call_id: self.call_id,
            expires_at: self.expires_at,
            repeated: self.repeated,
            outcome: PhantomData,
        }
    }
}

impl<R> fmt::Debug for Ticket<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("service", &self.service)
            .field("method", &self.method)
            .field("call_id", &self.call_id)
            .finish_non_exhaustive()
    }
}
