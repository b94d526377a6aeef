//! The bank as a whole: what it promises over HTTP, and that money is neither made nor lost,
//! whatever fails.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects, in its functions too"
)]

mod chaos;
#[cfg(feature = "tls")]
mod encrypted;
mod end_to_end;
mod letters;
mod money;
mod outages;
mod traces;

/// The program that is tested.
fn program() -> town::Program {
    town::Program {
        path: env!("CARGO_BIN_EXE_bank").into(),
        arguments: Vec::new(),
    }
}
