//! What must hold at the end of a simulation, whatever went wrong in it. Each is a function; a test
//! calls those that its services promise.

use crate::{
    history::{Asked, History, Told},
    simulation::{Ended, Violation},
};
use replybus::message::Message;
use std::{collections::BTreeMap, fmt::Debug};

/// What the names of queues of dead letters end with.
const DEAD_LETTERS: &str = ".dead";

/// An effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) value: String,
}

/// Every caller was told the truth: who was told a value finds its effect, and who was told that
/// nothing can have been executed finds none, unless another call asked for the same.
///
/// # Errors
/// The first that was not.
pub fn answered_truthfully(history: &History) -> Result<(), Violation> {
    let (asked, done) = history.calls_and_effects();
    let mut may_be_done: BTreeMap<&str, bool> = BTreeMap::new();
    for call in &asked {
        let surely_not = matches!(
            call.told,
            Some(Told::Error {
                may_have_executed: false,
                ..
            })
        );
        *may_be_done.entry(&call.what).or_default() |= !surely_not;
    }
    for call in &asked {
        let (what, effects) = (&call.what, done.get(&call.what));
        match &call.told {
            Some(Told::Value(value)) if effects.is_none() => {
                return Err(Violation::new(format!(
                    "{what} was answered {value}, and never done"
                )));
            }
            Some(Told::Error { text, .. })
                if may_be_done.get(&**what) == Some(&false) && effects.is_some() =>
            {
                let text =
                    format!("{what} was said not to have been executed, and was done: {text}");
                return Err(Violation::new(text));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Nobody was told that it is not known whether a command was executed. This holds where nothing is
/// lost but processes and connections, and callers have more patience than that takes: a message that
/// the broker has is answered.
///
/// # Errors
/// The first that was.
pub fn nobody_is_left_in_doubt(history: &History) -> Result<(), Violation> {
    let (asked, _) = history.calls_and_effects();
    for Asked { what, told } in &asked {
        if let Some(Told::Error {
            may_have_executed: true,
            text,
        }) = told
        {
            return Err(Violation::new(format!(
                "who asked for {what} is left in doubt: {text}"
            )));
        }
    }
    Ok(())
}

/// What was done was done once. This holds for handlers that have a record of their own in the
/// transaction of their effect; without one, of those that no worker died in.
///
/// # Errors
/// The first that was done more than once.
pub fn effects_are_present_once(history: &History) -> Result<(), Violation> {
    let (_, done) = history.calls_and_effects();
    match done.iter().find(|(_, done)| done.len() > 1) {
        Some((what, done)) => {
            let times = done.len();
            Err(Violation::new(format!("{what} was done {times} times")))
        }
        None => Ok(()),
    }
}

/// All who asked for the same were told the same, if they were told a value.
///
/// # Errors
/// The first two that were not.
pub fn outcomes_agree(history: &History) -> Result<(), Violation> {
    let (asked, _) = history.calls_and_effects();
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    for call in &asked {
        if let Some(Told::Value(value)) = &call.told {
            let first = values.entry(&call.what).or_insert(value);
            if first != value {
                let what = &call.what;
                return Err(Violation::new(format!(
                    "{what} was answered {first}, and then {value}"
                )));
            }
        }
    }
    Ok(())
}

/// A sum is what it was: money is neither made nor lost.
///
/// # Errors
/// It is not.
pub fn is_conserved(
    what: &str,
    before: i64,
    parts: impl IntoIterator<Item = i64>,
) -> Result<(), Violation> {
    let after = parts.into_iter().try_fold(0_i64, i64::checked_add);
    if after == Some(before) {
        return Ok(());
    }
    let after = after.map_or_else(
        || "more than can be counted".to_owned(),
        |sum| sum.to_string(),
    );
    Err(Violation::new(format!(
        "{what}: {before} before, {after} after"
    )))
}

/// What belongs to one key came in its order. A number may come again at once, for a worker can die
/// between an effect and its record; none may come after a later one.
///
/// # Errors
/// The first that did not.
pub fn is_in_order_per_key<K: Ord + Debug>(
    log: impl IntoIterator<Item = (K, u64)>,
) -> Result<(), Violation> {
    let mut last: BTreeMap<K, u64> = BTreeMap::new();
    for (key, number) in log {
        if let Some(before) = last.get(&key).filter(|before| **before > number) {
            return Err(Violation::new(format!(
                "of {key:?}, {number} came after {before}"
            )));
        }
        last.insert(key, number);
    }
    Ok(())
}

/// No message is left in a queue. That no task is, [`Simulation::run`](crate::Simulation::run) sees to.
///
/// # Errors
/// The first queue in which there is one.
pub fn no_message_is_left(ended: &Ended) -> Result<(), Violation> {
    match ended.left.iter().next() {
        Some((queue, messages)) => {
            let count = messages.len();
            Err(Violation::new(format!(
                "{count} messages are left in {queue}"
            )))
        }
        None => Ok(()),
    }
}

/// No message is left in a queue but dead letters of commands that nobody was told a value of: of what
/// may be half done one is kept, also if its caller was told that this is not known. `what` is what a
/// message asks for, as the history calls it.
///
/// # Errors
/// The first queue in which there is another.
pub fn only_what_is_in_doubt_is_left(
    history: &History,
    ended: &Ended,
    what: impl Fn(&Message) -> Option<String>,
) -> Result<(), Violation> {
    let (asked, _) = history.calls_and_effects();
    let is_answered = |what: &str| {
        let mut calls = asked.iter().filter(|call| call.what == what);
        calls.any(|call| matches!(call.told, Some(Told::Value(_))))
    };
    for (queue, messages) in &ended.left {
        if !queue.ends_with(DEAD_LETTERS) {
            return no_message_is_left(ended);
        }
        for message in messages {
            match what(message) {
                Some(what) if !is_answered(&what) => {}
                Some(what) => {
                    let text = format!("{what} was answered, and is left in {queue}");
                    return Err(Violation::new(text));
                }
                None => {
                    return Err(Violation::new(format!("{queue} has what nobody asked for")));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use replybus::{CallError, Never};

    fn told(history: &History, what: &str, value: u32) {
        let call = history.asks(what);
        history.is_told(call, &Ok::<_, CallError<Never>>(value));
    }

    #[test]
    fn an_answer_without_an_effect_is_a_lie() {
        let history = History::new();
        told(&history, "a", 1);
        assert!(answered_truthfully(&history).is_err());
        history.did("a", 1);
        assert!(answered_truthfully(&history).is_ok());
    }

    #[test]
    fn two_effects_and_two_outcomes_are_seen() {
        let history = History::new();
        history.did("a", 1);
        assert!(effects_are_present_once(&history).is_ok());
        history.did("a", 2);
        assert!(effects_are_present_once(&history).is_err());
        told(&history, "a", 1);
        assert!(outcomes_agree(&history).is_ok());
        told(&history, "a", 2);
        assert!(outcomes_agree(&history).is_err());
    }

    #[test]
    fn a_letter_of_what_was_answered_is_seen() {
        let history = History::new();
        let what = |message: &Message| message.properties.message_id.as_deref().map(str::to_owned);
        let left = |queue: &str, asked: Option<&str>| {
            let mut message = Message::default();
            message.properties.message_id = asked.map(Into::into);
            let ended = Ended {
                left: [(queue.to_owned(), vec![message])].into(),
                ..Ended::default()
            };
            only_what_is_in_doubt_is_left(&history, &ended, what)
        };
        assert!(left("a.dead", Some("a")).is_ok());
        assert!(left("a", Some("a")).is_err());
        assert!(left("a.dead", None).is_err());
        told(&history, "a", 1);
        assert!(left("a.dead", Some("a")).is_err());
    }

    #[test]
    fn sums_and_orders_are_checked() {
        assert!(is_conserved("money", 10, [4, 6]).is_ok());
        assert!(is_conserved("money", 10, [4, 7]).is_err());
        assert!(is_conserved("money", 10, [i64::MAX, 1]).is_err());
        assert!(is_in_order_per_key([("a", 1), ("b", 1), ("a", 1), ("a", 2)]).is_ok());
        assert!(is_in_order_per_key([("a", 2), ("a", 1)]).is_err());
    }
}
