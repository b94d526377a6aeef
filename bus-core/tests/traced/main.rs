//! The spans of a bus, as a tracer gets them: a program of its own, for a process has one tracer.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

#[path = "../it/between.rs"]
mod between;
#[path = "../it/hops.rs"]
mod hops;
#[path = "../it/paced.rs"]
#[allow(dead_code, reason = "verdicts are for other tests of bundles")]
mod paced;
mod recorded;
mod spans;
mod unrecorded;
