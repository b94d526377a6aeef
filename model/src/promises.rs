//! What must hold in every state.

use crate::{
    Protocol, Verb,
    state::{Answer, Asked, Call, State},
};
use stateright::Property;

/// The work of a key is done once; once more for each fault of a kind that can't be told from a run
/// that never began: a worker that dies between work and record, stands still for longer than its
/// lease, or panics; a store that forgets.
pub const DONE_ONCE: &str = "the work of a key is done once";
/// No run begins beside another, but as said there.
pub const ONE_AT_A_TIME: &str = "of all runs of a key one goes on at a time";
/// A caller that is told of an outcome is told of work that was done.
pub const DONE_IS_DONE: &str = "no caller is told of work that was not done";
/// `may_have_executed() == false` is true: no handler was called for it, and none will be.
pub const SURELY_NOT_IS_TRUE: &str = "what was surely not done is not done";
/// All callers of a key that are told of an outcome are told of the same.
pub const OUTCOMES_AGREE: &str = "all are told of the same outcome";
/// What the broker forgets is done, kept as a dead letter, refused by word to its caller, or was left
/// to another run of its key, which itself ends so.
pub const ACKNOWLEDGED_IS_KEPT: &str = "what was acknowledged is done or kept";
/// What the broker forgets, and somebody waits for, has its reply in the store.
pub const ACKNOWLEDGED_IS_ANSWERED: &str = "what was acknowledged is answered";

pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(DONE_ONCE, done_once),
        Property::always(ONE_AT_A_TIME, one_at_a_time),
        Property::always(DONE_IS_DONE, done_is_done),
        Property::always(SURELY_NOT_IS_TRUE, surely_not_is_true),
        Property::always(OUTCOMES_AGREE, outcomes_agree),
        Property::always(ACKNOWLEDGED_IS_KEPT, acknowledged_is_kept),
        Property::always(ACKNOWLEDGED_IS_ANSWERED, acknowledged_is_answered),
    ]
}

fn done_once(_: &Protocol, state: &State) -> bool {
    let mut keys = state.known.effects.iter().zip(&state.known.excuses);
    keys.all(|(effects, excuses)| *effects <= 1 + excuses)
}

fn one_at_a_time(_: &Protocol, state: &State) -> bool {
    !state.known.beside
}

fn done_is_done(protocol: &Protocol, state: &State) -> bool {
    told(state).all(|(call, answer)| match answer {
        Answer::Done(number) => state.known.effects[protocol.key(call)] >= number,
        Answer::Perhaps | Answer::Not => true,
    })
}

fn surely_not_is_true(_: &Protocol, state: &State) -> bool {
    // What a claim shows is what the store knows.
    state.known.emptied
        || told(state).all(|(call, answer)| answer != Answer::Not || !state.known.ran[call])
}

fn acknowledged_is_kept(protocol: &Protocol, state: &State) -> bool {
    forgotten(state).all(|call| is_done_or_kept(protocol, state, call))
}

fn acknowledged_is_answered(protocol: &Protocol, state: &State) -> bool {
    let mut awaited = forgotten(state).filter(|call| protocol.calls[*call].verb != Verb::Send);
    awaited.all(|call| state.known.replied[call])
}

/// What callers were told.
fn told(state: &State) -> impl Iterator<Item = (Call, Answer)> {
    let calls = state.calls.iter().enumerate();
    calls.filter_map(|(call, asked)| match asked {
        Asked::Ended { answer, .. } => Some((call, *answer)),
        Asked::Not | Asked::Waiting { .. } => None,
    })
}

/// The calls whose message was acknowledged and is nowhere any more.
fn forgotten(state: &State) -> impl Iterator<Item = Call> {
    let calls = 0..state.calls.len();
    calls.filter(|call| {
        let is_there = state.is_pending(*call) || state.is_in_hands(*call);
        state.known.acknowledged[*call] && !is_there
    })
}

fn is_done_or_kept(protocol: &Protocol, state: &State, call: Call) -> bool {
    let key = protocol.key(call);
    let mut of_key = (0..state.calls.len()).filter(|other| protocol.key(*other) == key);
    let goes_on = |other: Call| state.is_pending(other) || state.is_in_hands(other);
    state.known.effects[key] > 0
        || state.letters[call]
        || state.known.refused[call]
        || (state.known.left_to_another[call]
            && of_key
                .any(|other| state.letters[other] || state.known.refused[other] || goes_on(other)))
}

fn outcomes_agree(protocol: &Protocol, state: &State) -> bool {
    let mut seen = vec![None; state.records.len()];
    state.known.emptied
        || told(state).all(|(call, answer)| match answer {
            Answer::Done(number) => *seen[protocol.key(call)].get_or_insert(number) == number,
            Answer::Perhaps | Answer::Not => true,
        })
}
