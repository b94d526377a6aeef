//! What is told of a delivery: its reply and its record are stored, its letter is kept.

use super::{
    conclusion::{Conclusion, Seen, kind_of},
    delivery::RequestProcessor,
};
use crate::{
    call_id::CallId,
    flight::FlightStep,
    limits::{CALL_TIMEOUT_MAX, REPLY_TTL},
    message::{Message, Text},
    reply::{Reply, ReplyTarget, Stored},
    trace::{self, Span},
    transport::{Settled, Settler},
    wire::signed_reply::frame_of,
    work::{Answer, Cause, Envelope, RunEnd, command_known_until, store_until},
};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

impl RequestProcessor {
    /// Stores the reply and the record, as far as there are such; `false` if the message must go
    /// back to the queue.
    pub(super) async fn answer(
        &self,
        conclusion: &mut Conclusion,
        message: &Message,
        envelope: &Envelope,
        target: ReplyTarget,
        span: &Span,
    ) -> bool {
        let held = conclusion.held.take();
        let replies = conclusion.settlement.reply && target != ReplyTarget::None;
        if !replies && held.is_none() {
            return true;
        }
        let record = held.as_ref().map(|held| &held.claim);
        let _storing = trace::storing(span, &target, record);
        let reply = Reply {
            id: envelope.id,
            target,
            frame: self.signed(
                message,
                envelope,
                conclusion.answer.encode(envelope.content_type),
            ),
            ttl: REPLY_TTL,
            record: held.as_ref().map(|held| held.claim.clone()),
            groupable: envelope.reads_groups,
        };
        let outcome = conclusion.answer.label();
        let wanted_later = reply.record.is_some() || reply.target == ReplyTarget::Key;
        let stored = self.store(reply, outcome, envelope, wanted_later).await;
        if let Some(held) = held
            && stored.is_some()
        {
            held.recorded();
        }
        match stored {
            // Whoever took over answers the message that it has: this one may be of another call, and
            // comes again to be answered by what that run comes to.
            Some(Stored::TakenOver) => !replies,
            Some(_) => true,
            None => !wanted_later,
        }
    }

    /// A reply to a message, signed if this service signs.
    fn signed(&self, message: &Message, envelope: &Envelope, frame: Bytes) -> Bytes {
        let signatures = &self.signatures;
        signatures.reply(&self.queue, message, envelope.id, frame)
    }

    /// Stores a reply, for as long as somebody will look for it.
    async fn store(
        &self,
        reply: Reply,
        outcome: &'static str,
        envelope: &Envelope,
        wanted_later: bool,
    ) -> Option<Stored> {
        let until = match envelope.deadline {
            Some(deadline) if !wanted_later => deadline,
            _ => Instant::now() + CALL_TIMEOUT_MAX,
        };
        let inbox = match &reply.target {
            ReplyTarget::Inbox(inbox) => Some(inbox.clone()),
            ReplyTarget::Key | ReplyTarget::None => None,
        };
        let stored = store_until(self.store.as_ref(), reply, until).await;
        self.note_stored(envelope.id, stored, outcome);
        // One that has run out of time may have ended as it should.
        let waits = envelope.deadline.is_none_or(|end| end > Instant::now());
        if let (Some(Stored::InboxAbsent), Some(inbox), true) = (stored, inbox, waits) {
            self.missed_inboxes.is_absent(envelope.id, &inbox);
        }
        stored
    }

    /// Records what became of an answer.
    fn note_stored(&self, call: CallId, stored: Option<Stored>, outcome: &'static str) {
        self.flights.note(call, || match stored {
            None | Some(Stored::TakenOver) => FlightStep::ReplyNotStored,
            Some(stored) => FlightStep::ReplyStored {
                outcome: Text::from_static(outcome),
                inbox_absent: stored == Stored::InboxAbsent,
            },
        });
    }

    /// Keeps a dead letter, or drops it, and records which.
    pub(super) async fn keep_letter(&self, call: CallId, message: Message, cause: &Cause<'_>) {
        let is_kept = self.dead_letters.keep(message, cause).await;
        self.flights.note(call, || {
            let reason = Text::from_static(cause.answer.label());
            match is_kept {
                true => FlightStep::DeadLettered { reason },
                false => FlightStep::LetterDropped { reason },
            }
        });
    }

    /// Until when a copy of a request is recognised, if it has to be.
    pub(super) fn known_until(&self, message: &Message, envelope: &Envelope) -> Option<Duration> {
        let name = message.properties.kind.as_deref().unwrap_or_default();
        let method = self.contract.method(name).map(|(_, method)| method);
        command_known_until(&self.queue, method, message, envelope)
    }

    /// Concludes a job that was done before its message came again.
    pub(super) async fn conclude(
        &self,
        frame: Bytes,
        message: Message,
        envelope: &Envelope,
        settler: Settler,
    ) {
        let kind = kind_of(&message, envelope, false);
        let seen = Seen {
            seen_before: true,
            has_run: true,
        };
        let conclusion = Conclusion::of(Answer::decode(frame.clone()), RunEnd::Started, seen, kind);
        // Whoever has had it does not look for it.
        let frame = self.signed(&message, envelope, frame_of(&frame));
        let reply = Reply {
            groupable: envelope.reads_groups,
            ..Reply::new(envelope.id, envelope.target.clone(), frame)
        };
        let until = Instant::now() + CALL_TIMEOUT_MAX;
        if conclusion.settlement.reply {
            let stored = store_until(self.store.as_ref(), reply, until).await;
            self.note_stored(envelope.id, stored, conclusion.answer.label());
            if stored.is_none() {
                return;
            }
        }
        if conclusion.settlement.dead_letter {
            let cause = Cause {
                answer: &conclusion.answer,
                known_until: self.known_until(&message, envelope),
                attempts: None,
                malformed: false,
                // Jobs have none.
                partition: None,
            };
            self.keep_letter(envelope.id, message, &cause).await;
        }
        settler.settle(Settled::Ack);
    }
}
