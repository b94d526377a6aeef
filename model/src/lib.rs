//! The protocol of a command as a model that is checked exhaustively: claim, lease, fence, work,
//! record, reply, acknowledgement, redelivery, and callers that publish again or call again under the
//! same key, with a bounded number of faults at any step.
//!
//! A [`Protocol`] says which calls are made by how many workers, and how many [faults](Fault) may
//! happen; [stateright] looks at every state that it can come to, in the order of their distance, so
//! that what it finds is as short as can be. Each [`Action`] names the function of the code that it
//! stands for. [`promises`] are what must hold in every state, and [`can_always_settle`] that from
//! every state there is a way on to the end. Each [`Mistake`] is found by one of them, as the tests
//! show: a model that finds nothing wrong proves nothing else.
//!
//! What was modelled, what was left out, and the number of states stand in `docs/guarantees.md`.

#![expect(
    clippy::indexing_slicing,
    reason = "calls, keys and workers are numbers that a protocol has given itself; a wrong one ends the test"
)]

mod caller;
mod fault;
mod mistake;
pub mod promises;
mod protocol;
mod settling;
pub mod state;
mod step;
mod store;
mod worker;

pub use mistake::Mistake;
pub use protocol::{CallOf, Protocol, Verb};
pub use settling::{Explored, can_always_settle};
pub use step::{Action, Fault};
