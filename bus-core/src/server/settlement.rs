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
    Fault {
        code: FaultCode,
        may_have_executed: bool,
    },
}

/// What is known of the delivery itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Somebody will look for a reply.
    pub(crate) awaited: bool,
    /// It changes something: it was sent to survive.
    pub(crate) command: bool,
    /// It repeats a command whose first delivery is running, and is kept if need be.
    pub(crate) repetition: bool,
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
            AnswerKind::Fault(fault) => Self::Fault {
                code: fault.code,
                may_have_executed: fault.may_have_executed,
            },
        }
    }
}

/// The table. A caller that waits is always answered. A command is kept as a dead letter when it
/// may have been half done, unless another delivery of it answers for that; and when nobody would
/// otherwise learn that it was not done at all. A message that expired unstarted is not kept: that
/// is what its expiry asked for.
pub(crate) const fn settle(outcome: Outcome, kind: Kind) -> Settlement {
    let unseen = kind.command && !kind.awaited;
    let dead_letter = match outcome {
        Outcome::Value
        | Outcome::Fault {
            code: FaultCode::Expired,
            may_have_executed: false,
        } => false,
        Outcome::Fault {
            may_have_executed: true,
            ..
        } => unseen || (kind.command && !kind.repetition),
        Outcome::HandlerError | Outcome::Fault { .. } => unseen,
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
        for code in FaultCode::ALL.iter().chain([&FaultCode::Unknown]) {
            outcomes.extend([false, true].map(|may_have_executed| Outcome::Fault {
                code: *code,
                may_have_executed,
            }));
        }
        for outcome in outcomes {
            for bits in 0_u8..8 {
                let [awaited, command, repetition] = [1, 2, 4].map(|bit| bits & bit != 0);
                let kind = Kind {
                    awaited,
                    command,
                    repetition,
                };
                let settlement = settle(outcome, kind);
                let about = format!("{outcome:?}, {kind:?}");
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
                let expired = outcome
                    == Outcome::Fault {
                        code: FaultCode::Expired,
                        may_have_executed: false,
                    };
                if command && failed && !expired {
                    assert!(settlement.reply || settlement.dead_letter, "{about}");
                }
                // What may be half done is kept even when its caller was told, once.
                if let Outcome::Fault {
                    may_have_executed: true,
                    ..
                } = outcome
                    && command
                    && awaited
                {
                    assert_eq!(settlement.dead_letter, !repetition, "{about}");
                }
            }
        }
    }
}
