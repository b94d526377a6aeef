//! The protocol as it is, in every order of its steps and with every choice of so many faults.

use replybus_model::{CallOf, Protocol, Verb, can_always_settle};
use stateright::{Checker, Model};

/// The faults of a check, unless `REPLYBUS_MODEL_FAULTS` says another number: each takes twenty to
/// forty times the states of the one before.
fn faults(at_least: u8) -> u8 {
    let set = std::env::var("REPLYBUS_MODEL_FAULTS").ok();
    set.map_or(at_least, |set| set.parse().expect("a number of faults"))
}

fn holds(name: &str, calls: &[CallOf], faults: u8) {
    let checked = Protocol::new(calls, faults).checker().spawn_bfs().join();
    println!(
        "{name}: {} states with {faults} faults",
        checked.unique_state_count()
    );
    checked.assert_properties();
    let explored = can_always_settle(&Protocol::new(calls, faults));
    assert_eq!(explored.states, checked.unique_state_count());
    assert!(explored.trap.is_none(), "{:#?}", explored.trap);
}

#[test]
fn one_call_is_done_once_and_answered_whatever_goes_wrong() {
    holds("one call", &[CallOf::new(Verb::Call, 0)], faults(2));
}

#[test]
fn a_submitted_call_is_told_the_truth_whatever_goes_wrong() {
    holds(
        "a submitted call",
        &[CallOf::new(Verb::Submit, 0)],
        faults(2),
    );
}

#[test]
fn two_callers_of_one_key_are_one_effect() {
    let calls = [CallOf::new(Verb::Call, 0), CallOf::new(Verb::Submit, 0)];
    holds("two callers", &calls, faults(1));
}

#[test]
fn a_caller_that_calls_again_under_its_key_is_told_of_one_effect() {
    let calls = [
        CallOf::new(Verb::Call, 0),
        CallOf::new(Verb::Call, 0).after(0),
    ];
    holds("a caller that calls again", &calls, faults(2));
}

#[test]
fn one_way_commands_are_done_or_kept() {
    let calls = [CallOf::new(Verb::Send, 0), CallOf::new(Verb::Call, 0)];
    holds("a one-way command", &calls, faults(1));
}

#[test]
fn keys_have_nothing_to_do_with_each_other() {
    let calls = [CallOf::new(Verb::Call, 0), CallOf::new(Verb::Submit, 1)];
    holds("two keys", &calls, faults(1));
}
