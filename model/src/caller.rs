//! Callers: `bus-core/src/client/caller.rs`, and `client/ticket.rs` of a call that was submitted.

use crate::{
    Protocol, Verb,
    state::{Answer, Asked, Call, Message, State},
};

impl Protocol {
    /// `true` if a call is to be made now: at the beginning, or when the one before it failed.
    pub(crate) fn may_be_made(&self, state: &State, call: Call) -> bool {
        let before = self.calls[call].after.map(|before| state.calls[before]);
        let is_its_turn = match before {
            None => true,
            Some(Asked::Ended { answer, .. }) => !matches!(answer, Answer::Done(_)),
            Some(_) => false,
        };
        state.calls[call] == Asked::Not && is_its_turn
    }

    pub(crate) fn publish(&self, state: &mut State, call: Call) {
        state.calls[call] = match self.calls[call].verb {
            Verb::Call | Verb::Submit => Asked::Waiting {
                repeated: false,
                late: false,
            },
            // The broker has it: that is all that there is to know.
            Verb::Send => Asked::Ended {
                answer: Answer::Perhaps,
                late: false,
            },
        };
        state.enqueue(Message {
            call,
            seen_before: false,
        });
    }

    /// `Attempts::again`.
    pub(crate) fn publish_again(&self, state: &mut State, call: Call) {
        if let Asked::Waiting { repeated, .. } = &mut state.calls[call] {
            *repeated = true;
        }
        state.enqueue(Message {
            call,
            seen_before: true,
        });
    }

    /// `Attempts::replied`: what is said of one of several copies is not said of the call.
    pub(crate) fn take_reply(&self, state: &mut State, call: Call) {
        let (Some(answer), Asked::Waiting { repeated, late }) =
            (state.inbox[call].take(), state.calls[call])
        else {
            return;
        };
        let answer = match answer {
            Answer::Not if repeated => Answer::Perhaps,
            answer => answer,
        };
        state.calls[call] = Asked::Ended { answer, late };
    }

    /// `Attempts::timed_out`.
    pub(crate) fn give_up(&self, state: &mut State, call: Call) {
        if let Asked::Waiting { late, .. } = state.calls[call] {
            let answer = Answer::Perhaps;
            state.calls[call] = Asked::Ended { answer, late };
        }
        state.inbox[call] = None;
    }

    /// Of a call that waits its caller leaves at its deadline, and no worker takes it for late before.
    /// One that was submitted is waited for longer than it may be started.
    pub(crate) fn is_late(&self, state: &mut State, call: Call) {
        match &mut state.calls[call] {
            Asked::Not => {}
            Asked::Waiting { late, .. } | Asked::Ended { late, .. } => *late = true,
        }
        if self.calls[call].verb == Verb::Call {
            self.give_up(state, call);
        }
    }
}
