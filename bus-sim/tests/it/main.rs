//! What simulations show of replybus.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests say what they expect"
)]

mod broken;
mod commands;
mod conformance;
mod delegate;
mod money;
mod replays;
mod starting;
mod stood_still;
