//! What can happen next. Each step of the protocol names the code that it stands for.

use crate::state::{Call, Key, Message, WorkerId};

/// What can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A caller publishes: `Attempts::first` in `bus-core/src/client/caller.rs`.
    Publish(Call),
    /// A caller takes the reply: `Attempts::replied`, in the same file, and `Fault::of_one_copy`.
    TakeReply(Call),
    /// A caller's time is over with no reply on its way: `Attempts::timed_out`.
    GiveUp(Call),
    /// A worker takes a message: `work/intake.rs` and `RequestProcessor::take`, up to the request.
    Take(WorkerId, Message),
    /// It is read, and refused if it is late: `RequestProcessor::request` in `server/reading.rs`.
    Read(WorkerId),
    /// The store is asked for its claim: `Lease::take` in `work/lease.rs`, the question.
    AskForClaim(WorkerId),
    /// The answer is read: `Lease::take`, the answer, `Command::refusal`, and `Lease::release` if it is
    /// refused; then the handler is called.
    ReadClaim(WorkerId),
    /// The time is up while another has the claim: the end of the loop in `Lease::take`.
    LeaveToAnother(WorkerId),
    /// A claim is renewed: `Lease::renew`, or `work/lease_watch.rs`.
    Renew(WorkerId),
    /// The handler does its work, and returns: `Command::run_claimed`, up to `hand_over`.
    Work(WorkerId),
    /// Outcome and reply are stored in one step, or a reply alone: `RequestProcessor::answer`.
    Store(WorkerId),
    /// A dead letter is kept, and confirmed: `DeadLetters::keep`.
    KeepLetter(WorkerId),
    /// The message is acknowledged: the last line of `RequestProcessor::take`.
    Acknowledge(WorkerId),
    /// A worker that stood still goes on.
    Wake(WorkerId),
    /// A lease is over which nobody renews, and somebody has asked for long enough: `is_held` in
    /// `scripts/claim.lua`. Time, and no fault.
    LeaseOver(Key),
    /// What goes wrong.
    Fault(Fault),
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A worker is killed, whatever it is at, and started again.
    Crash(WorkerId),
    /// A worker stands still, until it wakes.
    StandStill(WorkerId),
    /// A worker loses the broker: its message is delivered again, and it goes on with the first.
    LoseConnection(WorkerId),
    /// A caller loses the broker, or its confirm, and publishes again: `Attempts::again`.
    LoseConfirm(Call),
    /// A message is in the queue twice. The second is marked as delivered before, as is every second
    /// delivery of RabbitMQ's.
    Duplicate(Message),
    /// The store has done what it was asked, and its answer is lost.
    LoseAnswer(WorkerId),
    /// A reply is lost.
    LoseReply(Call),
    /// The store forgets everything.
    Empty,
    /// A handler panics before its work, or after it if it was done.
    Panic(WorkerId),
    /// A call's time is over.
    Late(Call),
    /// A worker refuses a message for load, without a look at its record: `QueueAge::take`, or a layer.
    /// Only with [`Protocol::refusals`](crate::Protocol::refusals).
    Refuse(WorkerId),
}
