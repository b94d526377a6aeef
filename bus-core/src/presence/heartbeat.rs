//! The record of an instance, kept up for as long as it serves.

use super::Profile;
use crate::{
    call_id::CallId,
    control::HeldCalls,
    limits::{CALL_TIMEOUT_MAX, PRESENCE_TTL},
    reply::{Presence, ReplyStore, StoreError},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// The time that the start of a service, and its end, wait for the store to hear of it. Without that
/// it serves as well.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// The time that a beat waits to be told what was given up.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(1);

/// The heartbeat of one instance.
pub(crate) struct Heartbeat {
    store: Arc<dyn ReplyStore>,
    /// Without the namespace.
    queue: String,
    profile: Arc<Profile>,
    /// Of the instance, where calls are noted that were given up.
    calls: Arc<HeldCalls>,
    /// The store was told last time.
    is_heard: bool,
}

impl Heartbeat {
    /// Announces an instance of the service of `queue`, and keeps that up until it ends.
    pub(crate) async fn start(
        store: Arc<dyn ReplyStore>,
        queue: &str,
        profile: Arc<Profile>,
        calls: Arc<HeldCalls>,
    ) {
        let mut heartbeat = Self {
            store,
            queue: queue.to_owned(),
            profile: Arc::clone(&profile),
            calls,
            is_heard: true,
        };
        let shown = heartbeat.show();
        if timeout(HEARD_WITHIN + GIVEN_UP_WITHIN, shown)
            .await
            .is_err()
        {
            heartbeat.note(Err(StoreError::new(
                "announce an instance",
                "it gives no answer",
            )));
        }
        profile.lifetime().spawn(heartbeat.beat());
    }

    async fn beat(mut self) {
        let profile = Arc::clone(&self.profile);
        let lifetime = profile.lifetime();
        let serving = async {
            loop {
                let was_draining = lifetime.is_draining();
                let pause = sleep(pause(self.store.presence_ttl() / 3));
                tokio::select! {
                    biased;
                    () = pause => {}
                    () = lifetime.drains(), if !was_draining => {}
                    () = profile.seen().wanted() => {}
                }
                self.show().await;
            }
        };
        let drained = tokio::select! {
            biased;
            () = serving => return,
            drained = lifetime.ended() => drained,
        };
        if drained.given_back > 0 {
            // As that of one that was killed: what it gave back may have been begun.
            let last = self.announce(PRESENCE_TTL);
            let _ = timeout(HEARD_WITHIN, last).await;
            return;
        }
        let withdrawn = self.store.withdraw(&self.queue, self.profile.id());
        if !matches!(timeout(HEARD_WITHIN, withdrawn).await, Ok(Ok(()))) {
            tracing::debug!(
                queue = self.queue,
                "the record of an instance is left to expire"
            );
        }
    }

    /// Has others see the instance. If they could have missed it before, it learns then what they gave
    /// up: of what is given up from here on its caller sees the record, also if the connection to the
    /// broker is lost meanwhile, which alone would hide its consumer.
    async fn show(&mut self) {
        let (ttl, asked_at) = (self.store.presence_ttl(), Instant::now());
        let profile = Arc::clone(&self.profile);
        let seen = profile.seen();
        let was_sure = seen.is_sure();
        if !self.announce(ttl).await {
            seen.is_not_seen();
            return;
        }
        if was_sure || self.learn_given_up().await {
            seen.is_seen(asked_at, ttl);
        } else {
            tracing::debug!(queue = self.queue, "calls that were given up may be run");
            seen.is_not_seen();
        }
    }

    /// Takes note of the calls that were given up; `false` if they are not known.
    async fn learn_given_up(&self) -> bool {
        let given_up = self.store.given_up(&self.queue);
        let Ok(Ok(given_up)) = timeout(GIVEN_UP_WITHIN, given_up).await else {
            return false;
        };
        let now = Instant::now();
        for (id, left) in given_up {
            self.calls.cancel(id, now + left.min(CALL_TIMEOUT_MAX));
        }
        true
    }

    /// Announces the instance; `false` if the store was not told.
    async fn announce(&mut self, ttl: Duration) -> bool {
        let instance = self.profile.instance();
        let in_flight = u32::try_from(instance.in_flight).unwrap_or(u32::MAX);
        metrics::gauge!("replybus_in_flight", "queue" => self.queue.clone())
            .set(f64::from(in_flight));
        let record = instance.record();
        let presence = Presence::new(self.queue.as_str(), self.profile.id(), record);
        let presence = presence.ttl(ttl);
        let announced = self.store.announce(&presence).await;
        let is_announced = announced.is_ok();
        self.note(announced);
        is_announced
    }

    /// Says once when it begins to fail, and once when it works again.
    fn note(&mut self, announced: Result<(), StoreError>) {
        let was_heard = std::mem::replace(&mut self.is_heard, announced.is_ok());
        match announced {
            Err(error) if was_heard => {
                let reason = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(
                    queue = self.queue,
                    %error,
                    reason,
                    "others do not see this instance; it serves all the same"
                );
            }
            Ok(()) if !was_heard => {
                tracing::info!(queue = self.queue, "others see this instance again");
            }
            _ => {}
        }
    }
}

/// Until the next beat, less up to a quarter: so that those of instances that started together do not
/// stay together.
fn pause(most: Duration) -> Duration {
    let random = u32::try_from(CallId::new().random_bits() % 1_000).unwrap_or_default();
    most - most / 4 * random / 1_000
}
