//! Each mistake is found, by the shortest way that leads to it.

use crate::shortest::shortest;
use replybus_model::{
    Action::{
        self, Acknowledge, AskForClaim, LeaseOver, Publish, Read, ReadClaim, Store, Take,
        TakeReply, Wake, Work,
    },
    CallOf, Fault, Mistake, Protocol, Verb, can_always_settle, promises,
    state::{Call, Message},
};

const ONE: [CallOf; 1] = [CallOf::new(Verb::Call, 0)];
const TWO: [CallOf; 2] = [CallOf::new(Verb::Call, 0); 2];

/// A mistake, what it takes to find it, the promise that it breaks, and how.
fn breaks(mistake: Mistake, calls: &[CallOf], faults: u8, promise: &'static str, way: &[Action]) {
    let protocol = Protocol::new(calls, faults).with(mistake);
    assert_eq!(shortest(&protocol, promise), way);
}

/// The message of a call, as it was published.
const fn new(call: Call) -> Message {
    let seen_before = false;
    Message { call, seen_before }
}

/// The same, delivered again.
const fn again(call: Call) -> Message {
    let seen_before = true;
    Message { call, seen_before }
}

#[test]
fn a_reply_after_the_ack_is_lost_with_its_worker() {
    let way = [
        Publish(0),
        Take(0, new(0)),
        Read(0),
        AskForClaim(0),
        ReadClaim(0),
        Work(0),
        Acknowledge(0),
        Action::Fault(Fault::Crash(0)),
    ];
    let promise = promises::ACKNOWLEDGED_IS_ANSWERED;
    breaks(Mistake::ReplyAfterAck, &ONE, 1, promise, &way);
}

#[test]
fn a_letter_after_the_ack_is_lost_with_its_worker() {
    let way = [
        Publish(0),
        Take(0, new(0)),
        Read(0),
        AskForClaim(0),
        ReadClaim(0),
        Action::Fault(Fault::Panic(0)),
        Store(0),
        Acknowledge(0),
        Action::Fault(Fault::Crash(0)),
    ];
    let promise = promises::ACKNOWLEDGED_IS_KEPT;
    breaks(Mistake::LetterAfterAck, &ONE, 2, promise, &way);
}

#[test]
fn a_record_without_the_fence_is_told_beside_another() {
    let way = [
        Publish(0),
        Publish(1),
        Take(0, new(1)),
        Read(0),
        AskForClaim(0),
        ReadClaim(0),
        Work(0),
        Take(1, new(0)),
        Read(1),
        Action::Fault(Fault::StandStill(0)),
        LeaseOver(0),
        Wake(0),
        AskForClaim(1),
        Store(0),
        TakeReply(1),
        ReadClaim(1),
        Work(1),
        Store(1),
        TakeReply(0),
    ];
    let promise = promises::OUTCOMES_AGREE;
    breaks(Mistake::RecordWithoutFence, &TWO, 1, promise, &way);
}

#[test]
fn who_waits_for_a_run_that_was_taken_over_must_not_be_forgotten() {
    let way = [
        Publish(0),
        Publish(1),
        Take(0, new(1)),
        Read(0),
        AskForClaim(0),
        ReadClaim(0),
        Work(0),
        Take(1, new(0)),
        Read(1),
        Action::Fault(Fault::Empty),
        AskForClaim(1),
        Store(0),
        Acknowledge(0),
    ];
    let promise = promises::ACKNOWLEDGED_IS_ANSWERED;
    breaks(Mistake::AckWhenTakenOver, &TWO, 1, promise, &way);
}

#[test]
fn a_stale_claim_begins_a_run_beside_another() {
    let way = [
        Publish(0),
        Publish(1),
        Take(0, new(0)),
        Read(0),
        Take(1, new(1)),
        Read(1),
        AskForClaim(1),
        Action::Fault(Fault::StandStill(1)),
        LeaseOver(0),
        AskForClaim(0),
        ReadClaim(0),
        Wake(1),
        ReadClaim(1),
    ];
    let promise = promises::ONE_AT_A_TIME;
    breaks(Mistake::BeginsWithStaleClaim, &TWO, 1, promise, &way);
}

#[test]
fn what_the_store_forgot_is_not_free_for_who_was_told_to_wait() {
    let way = [
        Publish(0),
        Publish(1),
        Take(0, new(1)),
        Read(0),
        AskForClaim(0),
        ReadClaim(0),
        Take(1, new(0)),
        Read(1),
        AskForClaim(1),
        ReadClaim(1),
        Action::Fault(Fault::Empty),
        AskForClaim(1),
        ReadClaim(1),
    ];
    let promise = promises::ONE_AT_A_TIME;
    breaks(Mistake::ForgottenIsFree, &TWO, 1, promise, &way);
}

#[test]
fn what_looks_new_may_run_elsewhere() {
    let way = [
        Publish(0),
        Take(0, new(0)),
        Action::Fault(Fault::LoseConnection(0)),
        Take(1, again(0)),
        Read(1),
        AskForClaim(1),
        ReadClaim(1),
        Action::Fault(Fault::Late(0)),
        Read(0),
        Store(0),
        TakeReply(0),
    ];
    let submitted = [CallOf::new(Verb::Submit, 0)];
    let promise = promises::SURELY_NOT_IS_TRUE;
    breaks(Mistake::RefusedUnasked, &submitted, 2, promise, &way);
}

#[test]
fn what_is_done_is_done_again_if_its_record_is_not_heeded() {
    let way = [
        Publish(0),
        Publish(1),
        Take(0, new(1)),
        Read(0),
        Take(1, new(0)),
        Read(1),
        AskForClaim(1),
        ReadClaim(1),
        Work(1),
        Store(1),
        AskForClaim(0),
        ReadClaim(0),
        Work(0),
    ];
    breaks(Mistake::RunsWhatIsDone, &TWO, 0, promises::DONE_ONCE, &way);
}

#[test]
fn nobody_gets_on_behind_a_lease_without_an_end() {
    let way = vec![
        Publish(0),
        Take(0, new(0)),
        Read(0),
        AskForClaim(0),
        Action::Fault(Fault::Crash(0)),
    ];
    let protocol = Protocol::new(&ONE, 1).with(Mistake::LeaseForEver);
    assert_eq!(can_always_settle(&protocol).trap, Some(way));
}

#[test]
fn a_record_before_the_work_is_told_before_it() {
    let way = [
        Publish(0),
        Publish(1),
        Take(0, new(1)),
        Read(0),
        Take(1, new(0)),
        Read(1),
        AskForClaim(1),
        ReadClaim(1),
        AskForClaim(0),
        ReadClaim(0),
        Store(0),
        TakeReply(1),
    ];
    let promise = promises::DONE_IS_DONE;
    breaks(Mistake::RecordBeforeWork, &TWO, 0, promise, &way);
}

/// No mistake of one step's, but the limit of what a refusal says that no record keeps, as
/// `docs/guarantees.md` has it under what is not promised.
#[test]
fn what_was_refused_for_load_may_come_again() {
    let way = [
        Publish(0),
        Take(0, new(0)),
        Action::Fault(Fault::Refuse(0)),
        Store(0),
        TakeReply(0),
        Action::Fault(Fault::Crash(0)),
        Take(0, again(0)),
        Read(0),
        AskForClaim(0),
        ReadClaim(0),
    ];
    let protocol = Protocol {
        refusals: true,
        ..Protocol::new(&ONE, 2)
    };
    assert_eq!(shortest(&protocol, promises::SURELY_NOT_IS_TRUE), way);
}
