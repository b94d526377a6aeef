//! What becomes of a delivery, as a table: from what came of it to whether it is answered and kept
//! as a dead letter. It is acknowledged after both, and only then; whatever is not taken to its end
//! goes back to the queue by its settler being dropped.

use super::service::{Answer, AnswerKind};
use crate::error::FaultCode;

/// What came of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The handler returned a value.
    Value,
    /// The handler returned its own error.
    HandlerError,
    /// The handler did not answer.
    Fault(FaultCode),
}

/// What is known of the delivery itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Somebody will look for a reply.
    pub(crate) awaited: bool,
    /// It changes something: it was sent to survive.
    pub(crate) command: bool,
}

/// What to do with it, in this order, before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settlement {
    pub(crate) reply: bool,
    pub(crate) dead_letter: bool,
}

impl Outcome {
    pub(crate) fn of(answer: &Answer) -> Self {
        match &answer.0 {
            AnswerKind::Ok(_) => Self::Value,
            AnswerKind::Handler(_) => Self::HandlerError,
            AnswerKind::Fault(fault) => Self::Fault(fault.code),
        }
    }
}

/// The table. A caller that waits is always answered. A command is kept as a dead letter when it
/// may have been half done, and when nobody would otherwise learn that it was not done at all. A
/// message that expired is not kept: that is what its expiry asked for.
pub(crate) const fn settle(outcome: Outcome, kind: Kind) -> Settlement {
    let unseen = kind.command && !kind.awaited;
    let dead_letter = match outcome {
        Outcome::Value | Outcome::Fault(FaultCode::Expired) => false,
        Outcome::HandlerError => unseen,
        Outcome::Fault(code) => {
            if code.may_have_executed() {
                kind.command
            } else {
                unseen
            }
        }
    };
    Settlement {
        reply: kind.awaited,
        dead_letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every outcome and kind, against the rules said in words rather than the code above.
    #[test]
    fn the_whole_table() {
        let mut outcomes = vec![Outcome::Value, Outcome::HandlerError];
        outcomes.extend(FaultCode::ALL.iter().map(|code| Outcome::Fault(*code)));
        outcomes.push(Outcome::Fault(FaultCode::Unknown));
        for outcome in outcomes {
            for (awaited, command) in [(false, false), (false, true), (true, false), (true, true)] {
                let settlement = settle(outcome, Kind { awaited, command });
                let about = format!("{outcome:?}, awaited {awaited}, command {command}");
                // Every caller that waits is answered, once.
                assert_eq!(settlement.reply, awaited, "{about}");
                // A question is never kept.
                assert!(command || !settlement.dead_letter, "{about}");
                // A success is never kept.
                assert!(
                    outcome != Outcome::Value || !settlement.dead_letter,
                    "{about}"
                );
                // No failed command disappears without anybody being told.
                let failed = outcome != Outcome::Value;
                let expired = outcome == Outcome::Fault(FaultCode::Expired);
                if command && failed && !expired {
                    assert!(settlement.reply || settlement.dead_letter, "{about}");
                }
                // What may be half done is kept even when its caller was told.
                if let Outcome::Fault(code) = outcome {
                    if command && code.may_have_executed() {
                        assert!(settlement.dead_letter, "{about}");
                    }
                }
            }
        }
    }
}
