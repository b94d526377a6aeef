//! The messages of ticks: each process that runs a schedule puts the next one on the broker, where it
//! waits until it is due.

use super::{pattern::Pattern, tick::Arguments};
use crate::{
    bus::BusInner,
    call_id::CallId,
    codec::{self, ContentType},
    contract::unix_time,
    delayed::{Delayed, DelayedKind},
    limits::{CONFIRM_TIMEOUT, DELAY_MAX, REQUEST_BYTES_MAX, TICK_LATE_AFTER},
    message::{Message, Properties, Text},
    transport::{Outgoing, Verdict},
    wire::headers,
    work::{Pauses, word_on},
};
use sha2::{Digest as _, Sha256};
use std::{mem, sync::Weak, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// The method of a tick's message.
pub(super) const METHOD: &str = "tick";

/// First and longest pause before a tick that the broker did not take is put again.
pub(super) const PUT_AGAIN_MIN: Duration = Duration::from_secs(1);
pub(super) const PUT_AGAIN_MAX: Duration = Duration::from_secs(30);

/// The longest sleep: the clock on the wall may be set, and a machine may stand still.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A clock that shows so much less than before was put back, and not only brought into step.
const PUT_BACK_BY: Duration = Duration::from_secs(1);

/// The clock on the wall was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PutBack;

/// Puts the ticks of one schedule on the broker.
#[derive(Debug, Clone)]
pub(super) struct Putting {
    /// Does not keep the bus alive.
    pub(super) bus: Weak<BusInner>,
    /// On the broker.
    pub(super) queue: Text,
    pub(super) ticks: Pattern,
}

impl Putting {
    /// Puts each next tick, for as long as there is a bus. If the clock was put back, from what it
    /// shows then: it may have been wrong before, and a tick that was run is known by its key.
    pub(super) async fn run(self) {
        let mut clock = Clock::now();
        let mut last = unix_time().as_secs();
        while let Some(next) = self.ticks.after(last) {
            last = match self.put_and_wait(next, &mut clock).await {
                Ok(()) => {
                    // If this process stood still for long, the one that is there tells of the others.
                    let now = unix_time().as_secs();
                    let is_late = now >= next.saturating_add(TICK_LATE_AFTER.as_secs());
                    if is_late { now } else { next }
                }
                Err(PutBack) => unix_time().as_secs(),
            };
            if self.bus.strong_count() == 0 {
                return;
            }
        }
    }

    /// Puts a tick and waits until it is due.
    async fn put_and_wait(&self, next: u64, clock: &mut Clock) -> Result<(), PutBack> {
        let due = Duration::from_secs(next);
        // A year ahead nothing is put.
        clock.shows(due.saturating_sub(DELAY_MAX)).await?;
        let mut pauses = Pauses::new(PUT_AGAIN_MIN, PUT_AGAIN_MAX);
        while let Err(why) = self.put(next).await {
            if self.bus.strong_count() == 0 {
                return Ok(());
            }
            tracing::warn!(queue = %self.queue, next, why, "a tick is put again");
            sleep(pauses.next()).await;
        }
        clock.shows(due).await
    }

    /// The tick that follows on another, if it is near enough to be put.
    pub(super) fn following(&self, second: u64) -> Option<u64> {
        let farthest = second.saturating_add(DELAY_MAX.as_secs());
        self.ticks.after(second).filter(|next| *next <= farthest)
    }

    /// Puts one tick, to come when it is due or else at once. It may be there already: its key tells
    /// it from others, and it is run once.
    pub(super) async fn put(&self, second: u64) -> Result<(), String> {
        let bus = self.bus.upgrade().ok_or("the bus is gone")?;
        let message = self.message(&bus.app_id, second)?;
        let left = Duration::from_secs(second).saturating_sub(unix_time());
        let outgoing = Outgoing::new(message).deadline(Instant::now() + CONFIRM_TIMEOUT * 2);
        let receipt = if left.is_zero() {
            bus.transport.publish(outgoing)
        } else {
            let delay = bus.delay_until(Instant::now() + left.min(DELAY_MAX));
            bus.transport.publish_at(outgoing, delay)
        };
        let notes = (!left.is_zero()).then(|| (bus.delayed.clone(), bus.name_within(&self.queue)));
        drop(bus);
        match word_on(receipt).await {
            Verdict::Confirmed => {
                if let Some((notes, place)) = notes {
                    notes.note(&self.delayed(place, second));
                }
                Ok(())
            }
            refused => Err(format!("{refused:?}")),
        }
    }

    /// A tick as it is listed, once for all processes that put it.
    fn delayed<'a>(&self, place: &'a str, second: u64) -> Delayed<'a> {
        let digest = Sha256::digest(format!("{}:{second}", self.queue));
        let mut id = [0; 16];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Delayed {
            id: CallId::from_bytes(id),
            kind: DelayedKind::Tick,
            place,
            service: "",
            name: METHOD,
            due: Duration::from_secs(second),
            keyed: false,
            ticket: None,
        }
    }

    /// It does not expire: what was missed is the policy's to say.
    fn message(&self, app_id: &Text, second: u64) -> Result<Message, String> {
        let content_type = ContentType::Json;
        let body = codec::encode(content_type, &Arguments { second }, REQUEST_BYTES_MAX);
        Ok(Message {
            exchange: Text::default(),
            routing_key: self.queue.clone(),
            properties: Properties {
                message_id: Some(CallId::new().to_text()),
                kind: Some(Text::from_static(METHOD)),
                content_type: Some(Text::from_static(content_type.as_str())),
                timestamp: Some(unix_time().as_secs()),
                app_id: Some(app_id.clone()),
                persistent: true,
                headers: [(
                    Text::from_static(headers::IDEMPOTENCY_KEY),
                    Text::shown(second),
                )]
                .into(),
                ..Properties::default()
            },
            body: body.map_err(|error| error.to_string())?,
        })
    }
}

/// The clock on the wall, and what it showed when it was last looked at.
struct Clock(Duration);

impl Clock {
    fn now() -> Self {
        Self(unix_time())
    }

    /// Waits until it shows a moment, unless it is put back meanwhile.
    async fn shows(&mut self, moment: Duration) -> Result<(), PutBack> {
        loop {
            let now = unix_time();
            let before = mem::replace(&mut self.0, now);
            if now + PUT_BACK_BY < before {
                return Err(PutBack);
            }
            let left = moment.saturating_sub(now);
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(LOOK_EVERY)).await;
        }
    }
}

/// Waits until the clock on the wall shows a moment, for so long at most, whatever becomes of it.
pub(super) async fn wait_briefly(moment: Duration, at_most: Duration) {
    // Whichever it is, there is no more to wait for.
    let _ = timeout(at_most, Clock::now().shows(moment)).await;
}
