//! What keeps a stream going beside its reader, who may be busy: gives its credit, says that it
//! lives, asks for what is missing, and notices that nothing comes any more.

use super::{
    inbox::{Due, StreamInbox},
    silence::Silence,
};
use crate::{
    bus::BusInner,
    call_id::CallId,
    error::FailureKind,
    limits::{CONFIRM_TIMEOUT, STREAM_ASK_AFTER, STREAM_CREDIT_EVERY, STREAM_SILENCE_MAX},
    message::Text,
    reply::{StoreHealth, Stored},
    transport::{Outgoing, TransportHealth, Verdict},
    wire::{feed::FeedCredit, stream::Credit},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The pause after something could not be said, or was asked for, before it is said again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Keeper {
    pub(super) bus: Arc<BusInner>,
    pub(super) inbox: Arc<StreamInbox>,
    pub(super) producer: u32,
    pub(super) towards: Towards,
}

/// The way to the producer.
pub(super) enum Towards {
    /// The control queue of its service.
    Service(Text),
    /// The inbox of the caller, who knows of the stream by its call.
    Caller {
        inbox: Text,
        call: CallId,
        /// Whoever read for that call before has the claim no more.
        holds_claim: bool,
        /// Fired when the reader's service gives back what it has.
        leaving: CancellationToken,
    },
}

impl Keeper {
    /// Keeps the stream until it has ended, or its reader is gone.
    pub(super) async fn keep(self) {
        // A caller knows of nobody before it is told.
        let mut say_at = match self.towards {
            Towards::Service(_) => Instant::now() + STREAM_CREDIT_EVERY,
            Towards::Caller { .. } => Instant::now(),
        };
        // Until then nothing is asked for a second time.
        let mut asks_from = Instant::now();
        let mut silence = Silence::none();
        loop {
            let heard_at = self.inbox.heard_at();
            if silence.look(heard_at, || self.is_deaf()) >= STREAM_SILENCE_MAX {
                self.is_silent();
            }
            let now = Instant::now();
            let quiet = now.saturating_duration_since(heard_at);
            let due = self.inbox.due();
            let is_missing = due.again || quiet >= STREAM_ASK_AFTER;
            let asks = is_missing && now >= asks_from;
            if due.now || asks || now >= say_at {
                if asks {
                    asks_from = now + AGAIN_AFTER;
                }
                let due = self.inbox.take_due(asks);
                if due.gone && self.is_left() {
                    return;
                }
                let was_said = self.say(due, asks).await;
                if due.gone {
                    return;
                }
                say_at = now
                    + match was_said {
                        true => STREAM_CREDIT_EVERY,
                        false => AGAIN_AFTER,
                    };
                continue;
            }
            let asks_at = match is_missing {
                true => asks_from,
                false => heard_at + STREAM_ASK_AFTER,
            };
            let wake_at = asks_at.min(say_at);
            tokio::select! {
                biased;
                () = self.bus.closed.cancelled() => {
                    self.inbox.fail(FailureKind::Disconnected, "the bus was closed");
                    return;
                }
                () = self.inbox.changed.notified() => {}
                () = sleep_until(wake_at) => {}
            }
        }
    }

    /// `true` if its handler has not let go of it but was dropped: that it is gone would tell the caller
    /// that its answer is to come.
    fn is_left(&self) -> bool {
        matches!(&self.towards, Towards::Caller { leaving, .. } if leaving.is_cancelled())
    }

    /// `true` while its producer can't be heard, or can't be asked.
    fn is_deaf(&self) -> bool {
        self.bus.replies.health() != StoreHealth::Up
            || self.bus.transport.health() != TransportHealth::Up
    }

    /// Nothing was heard for as long as a producer may be silent.
    fn is_silent(&self) {
        let text = format!("nothing was heard of its producer for {STREAM_SILENCE_MAX:?}");
        match self.inbox.refused() {
            None => self.inbox.fail(FailureKind::Interrupted, text),
            Some(why) => {
                let text = format!("{text} that may be believed: of a frame, {why}");
                self.inbox.fail(FailureKind::BadReply, text);
            }
        }
    }

    /// Says to the producer how far its reader is; `false` if that is to be said again.
    async fn say(&self, due: Due, asks: bool) -> bool {
        let credit = Credit {
            id: self.inbox.id(),
            producer: self.producer,
            taken: due.taken,
            again: asks,
            gone: due.gone,
        };
        match &self.towards {
            Towards::Service(queue) => self.publish(credit, queue).await,
            Towards::Caller {
                inbox,
                call,
                holds_claim,
                ..
            } => {
                let signatures = self.inbox.signatures();
                let said = FeedCredit {
                    credit,
                    holds_claim: *holds_claim,
                    checks: signatures.checks(),
                    inbox: self.bus.inbox.clone(),
                };
                let frame = signatures.sign(*call, said.frame());
                let added = self.bus.replies.append(inbox, *call, frame);
                matches!(added.await, Ok(Stored::AsAsked))
            }
        }
    }

    async fn publish(&self, credit: Credit, queue: &Text) -> bool {
        let outgoing =
            Outgoing::new(credit.message(queue)).deadline(Instant::now() + CONFIRM_TIMEOUT);
        match self.bus.transport.publish(outgoing).verdict().await {
            Verdict::Confirmed => true,
            Verdict::Unroutable => {
                let text = "its producer's service is gone";
                self.inbox.fail(FailureKind::Interrupted, text);
                true
            }
            Verdict::Denied(said) => {
                let text = format!("its producer can't be told to go on: {said}");
                self.inbox.fail(FailureKind::Denied, text);
                true
            }
            _ => false,
        }
    }
}
