//! The conclusion of a delivery: its answer, and the steps to take with it.

use crate::{
    message::Message,
    work::{
        Answer, AnswerClass, DeliveryKind, Envelope, HeldClaim, RunEnd, Settlement, is_redriven,
        settle,
    },
};

/// The kind of a delivery.
pub(super) fn kind_of(message: &Message, envelope: &Envelope, malformed: bool) -> DeliveryKind {
    DeliveryKind {
        awaited: envelope.awaited(),
        command: message.properties.persistent,
        repetition: false,
        redriven: is_redriven(message),
        malformed,
        exhausted: false,
    }
}

/// The conclusion of a delivery: its answer, and the steps to take.
pub(super) struct Conclusion {
    pub(super) answer: Answer,
    /// The claim to record the answer under.
    pub(super) held: Option<HeldClaim>,
    pub(super) settlement: Settlement,
}

/// What is known of earlier deliveries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) seen_before: bool,
    /// It was run, and put off.
    pub(super) has_run: bool,
}

impl Conclusion {
    pub(super) fn of(answer: Answer, end: RunEnd, seen: Seen, kind: DeliveryKind) -> Self {
        let Seen {
            seen_before,
            has_run,
        } = seen;
        let answer = if end.may_have_run(seen_before) || has_run {
            answer.may_have_been_executed()
        } else {
            answer
        };
        let kind = DeliveryKind {
            repetition: !seen_before && matches!(end, RunEnd::Elsewhere),
            ..kind
        };
        Self {
            settlement: settle(AnswerClass::of(&answer), kind),
            held: end.into_held(),
            answer,
        }
    }
}
