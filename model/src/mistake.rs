//! Mistakes that the code could make, one at a time: each must be found.

/// A mistake in the protocol. The checker is of use only if it finds each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mistake {
    /// The delivery is acknowledged, and then the reply is stored.
    ReplyAfterAck,
    /// The delivery is acknowledged, and then the dead letter is kept.
    LetterAfterAck,
    /// An outcome is recorded without a look at whose the claim is.
    RecordWithoutFence,
    /// A run that finds its claim taken over acknowledges its delivery, as if who took it over would
    /// answer that one as well.
    AckWhenTakenOver,
    /// An answer to a claim is acted on however old it is.
    BeginsWithStaleClaim,
    /// A claim that nothing is recorded of is given, also to one that was told that another has it.
    ForgottenIsFree,
    /// A message that is late and looks new is refused without a look at its record, though its reply
    /// is looked for later: the worker may have had it before another was given it.
    RefusedUnasked,
    /// A claim is given though its outcome is recorded.
    RunsWhatIsDone,
    /// A lease has no end: nobody follows a worker that died.
    LeaseForEver,
    /// The outcome is recorded when the claim is given, before the work.
    RecordBeforeWork,
}
