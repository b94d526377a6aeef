//! Working off a queue: what serving and events share. In the order a delivery travels: taken by
//! the [`intake`] when there is a permit, read by its [`envelope`], run, as a [`command`] under a
//! claim if it changes something, and settled, after its reply is stored or it is kept as a dead
//! letter.

mod again;
mod answer;
mod bundle;
mod claim;
mod command;
mod dead_letter;
mod envelope;
mod intake;
mod lease;
mod lease_watch;
mod lifetime;
mod occupied;
mod pauses;
mod permits;
mod redelivery;
mod run;
mod serving;
mod settlement;
mod storing;
mod unclaimed;

pub(crate) use answer::AnswerKind;
pub use answer::{Answer, AnswerFuture};
pub use serving::{Drained, Serving, ServingError};

pub(crate) use again::{once_more, word_on};
pub(crate) use claim::{
    claim_of_signed, command_claim, command_key, command_known_until, event_claim, fingerprint,
    known_until, redelivery_claim,
};
pub(crate) use command::{Command, Job, panicked};
pub(crate) use dead_letter::{Cause, DeadLetters, Drops, dead_letter_queue};
pub(crate) use envelope::{Envelope, cancelled, expired, is_redriven, is_repeated, unreadable};
pub(crate) use intake::Intake;
pub(crate) use lease_watch::LeaseWatch;
pub(crate) use lifetime::Lifetime;
pub(crate) use occupied::{Occupant, OccupiedQueues};
pub(crate) use pauses::Pauses;
pub(crate) use permits::{Permit, Permits};
pub(crate) use redelivery::{Begun, Redeliveries};
pub(crate) use run::{CommandFuture, FinishedRun, HeldClaim, Run, RunEnd, RunState};
pub(crate) use settlement::{AnswerClass, DeliveryKind, Settlement, settle};
pub(crate) use storing::store_until;
pub(crate) use unclaimed::UnclaimedCommand;
