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
use std::{sync::Weak, time::Duration};
use tokio::time::{Instant, sleep};

/// The method of a tick's message.
pub(super) const METHOD: &str = "tick";

/// First and longest pause before a tick that the broker did not take is put again.
pub(super) const PUT_AGAIN_MIN: Duration = Duration::from_secs(1);
pub(super) const PUT_AGAIN_MAX: Duration = Duration::from_secs(30);

/// The longest sleep: the clock on the wall may be set, and a machine may stand still.
const LOOK_EVERY: Duration = Duration::from_secs(30);

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
    /// Puts each next tick, for as long as there is a bus.
    pub(super) async fn run(self) {
        let mut last = unix_time().as_secs();
        while let Some(next) = self.ticks.after(last) {
            // A year ahead nothing is put.
            wait_until(Duration::from_secs(next).saturating_sub(DELAY_MAX)).await;
            let mut pauses = Pauses::new(PUT_AGAIN_MIN, PUT_AGAIN_MAX);
            while let Err(why) = self.put(next).await {
                if self.bus.strong_count() == 0 {
                    return;
                }
                tracing::warn!(queue = %self.queue, next, why, "a tick is put again");
                sleep(pauses.next()).await;
            }
            wait_until(Duration::from_secs(next)).await;
            // If this process stood still for long, the one that is there tells of the others.
            let now = unix_time().as_secs();
            let is_late = now >= next.saturating_add(TICK_LATE_AFTER.as_secs());
            last = if is_late { now } else { next };
        }
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
                headers: vec![(
                    Text::from_static(headers::IDEMPOTENCY_KEY),
                    Text::shown(second),
                )],
                ..Properties::default()
            },
            body: body.map_err(|error| error.to_string())?,
        })
    }
}

/// Waits until a moment by the clock on the wall.
pub(super) async fn wait_until(moment: Duration) {
    loop {
        let left = moment.saturating_sub(unix_time());
        if left.is_zero() {
            return;
        }
        sleep(left.min(LOOK_EVERY)).await;
    }
}
