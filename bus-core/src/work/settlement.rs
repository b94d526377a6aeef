//! The settlement of a delivery, as a table: from the class of its answer to a reply and a dead
//! letter. It is acknowledged after both, and only then; whatever is not taken to its end goes back
//! to the queue by its settler being dropped.

use super::answer::{Answer, AnswerKind};
use crate::error::FaultCode;

/// The class of an answer, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerClass {
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

/// The kind of a delivery, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeliveryKind {
    /// Somebody will look for a reply.
    pub(crate) awaited: bool,
    /// It changes something: it was sent to survive.
    pub(crate) command: bool,
    /// It repeats a command whose first delivery is running, and is kept if need be.
    pub(crate) repetition: bool,
    /// It was put back from the dead letters: its caller left long ago.
    pub(crate) redriven: bool,
    /// Parts of it can't be read, perhaps those that would say what it is.
    pub(crate) malformed: bool,
    /// Its handler would have it run again, and no run is left.
    pub(crate) exhausted: bool,
}

/// The steps to take with a delivery, in this order, before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settlement {
    pub(crate) reply: bool,
    pub(crate) dead_letter: bool,
}

impl AnswerClass {
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
/// otherwise learn that it was not done at all. A message that expired unstarted or was cancelled is
/// not kept: that is what was asked for. One that was put back from the dead letters is one again
/// whatever it fails of, as nobody waits for it. One that is malformed, or was interrupted for good,
/// is kept whatever it is: it may have killed its workers. So is one of which no run is left: its
/// caller was told of the last error, and nobody of the others.
pub(crate) const fn settle(class: AnswerClass, kind: DeliveryKind) -> Settlement {
    let interrupted = matches!(
        class,
        AnswerClass::Fault {
            code: FaultCode::Interrupted | FaultCode::WorkerLost,
            may_have_executed: true,
        }
    );
    let command = kind.command || interrupted;
    let unseen = command && (!kind.awaited || kind.redriven);
    let failed = match class {
        AnswerClass::Value => false,
        AnswerClass::Fault {
            code: FaultCode::Expired,
            may_have_executed: false,
        } => kind.redriven,
        AnswerClass::Fault {
            code: FaultCode::Cancelled,
            ..
        } => kind.redriven && command,
        AnswerClass::Fault {
            may_have_executed: true,
            ..
        } => unseen || (command && !kind.repetition),
        AnswerClass::HandlerError | AnswerClass::Fault { .. } => unseen,
    };
    Settlement {
        reply: kind.awaited,
        dead_letter: failed || kind.malformed || kind.exhausted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every class and kind, against the rules said in words rather than the code above.
    #[test]
    fn the_whole_table() {
        let mut classes = vec![AnswerClass::Value, AnswerClass::HandlerError];
        for code in FaultCode::ALL.iter().chain([&FaultCode::Unknown]) {
            classes.extend([false, true].map(|may_have_executed| AnswerClass::Fault {
                code: *code,
                may_have_executed,
            }));
        }
        for class in classes {
            for bits in 0_u8..8 {
                let [awaited, command, repetition] = [1, 2, 4].map(|bit| bits & bit != 0);
                let kind = DeliveryKind {
                    awaited,
                    command,
                    repetition,
                    redriven: false,
                    malformed: false,
                    exhausted: false,
                };
                // What was put back, as a message that survives, is lost by no failure.
                let redriven = DeliveryKind {
                    redriven: true,
                    command: true,
                    ..kind
                };
                let kept = settle(class, redriven).dead_letter;
                assert_eq!(kept, class != AnswerClass::Value, "{class:?}, {redriven:?}");
                let unread = DeliveryKind {
                    malformed: true,
                    ..kind
                };
                assert!(settle(class, unread).dead_letter);
                assert_eq!(settle(class, unread).reply, awaited);
                let exhausted = DeliveryKind {
                    exhausted: true,
                    ..kind
                };
                assert!(settle(class, exhausted).dead_letter);
                let settlement = settle(class, kind);
                let about = format!("{class:?}, {kind:?}");
                // Every caller that waits is answered, once.
                assert_eq!(settlement.reply, awaited, "{about}");
                // A question is never kept, unless it may have killed its workers.
                let interrupted = matches!(
                    class,
                    AnswerClass::Fault {
                        code: FaultCode::Interrupted | FaultCode::WorkerLost,
                        may_have_executed: true,
                    }
                );
                assert!(command || interrupted || !settlement.dead_letter, "{about}");
                if interrupted {
                    assert!(settlement.dead_letter || (awaited && repetition), "{about}");
                }
                // A success is never kept.
                assert!(
                    class != AnswerClass::Value || !settlement.dead_letter,
                    "{about}"
                );
                // No failed command disappears without anybody being told.
                let failed = class != AnswerClass::Value;
                let cancelled = matches!(
                    class,
                    AnswerClass::Fault {
                        code: FaultCode::Cancelled,
                        ..
                    }
                );
                let asked_for = cancelled
                    || class
                        == AnswerClass::Fault {
                            code: FaultCode::Expired,
                            may_have_executed: false,
                        };
                if command && failed && !asked_for {
                    assert!(settlement.reply || settlement.dead_letter, "{about}");
                }
                // What may be half done is kept even when its caller was told, once.
                if let AnswerClass::Fault {
                    may_have_executed: true,
                    ..
                } = class
                    && command
                    && awaited
                    && !cancelled
                {
                    assert_eq!(settlement.dead_letter, !repetition, "{about}");
                }
            }
        }
    }
}
