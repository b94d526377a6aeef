//! The model is checked: what the protocol promises holds in every state, and each mistake is found.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says how many states it has looked at"
)]

mod mistakes;
mod protocol;
mod shortest;
