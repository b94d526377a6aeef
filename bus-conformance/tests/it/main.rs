//! What is in memory, held to the suite, and the suite held to its word: it finds what is broken.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects, in its functions too"
)]

mod broken;
mod claimed;
mod memory;
