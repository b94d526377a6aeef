//! Messages with a confirm: one-way and submitted calls, events, dead letters. In the order one
//! travels: it waits in the line's backlog, is written to the line's channel, its confirm is
//! awaited, and out of the confirms comes its verdict.

mod backlog;
mod channel;
mod confirms;
mod line;
mod verdicts;

pub(super) use line::{ConfirmedLine, Step};
