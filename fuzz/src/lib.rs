//! What takes apart the bytes that RabbitMQ, Redis, a file or a stranger gives us, each as a function
//! of any bytes that panics where it does not keep a promise. `cargo xtask fuzz` has libFuzzer look for
//! such bytes, and the tests of this package run the corpus and mutations of it. `README.md` says which
//! decoder is covered by which target.

// What is included brings tests, which run where it is from: there is nothing to test here.
#![cfg(not(test))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a target ends by a panic where something is not as it should be"
)]

mod answers;
mod body;
mod bundle;
mod contracts;
mod control;
mod delivery;
mod events;
mod foreign;
mod frames;
mod keys;
mod letters;
mod outcomes;
mod records;
mod redis_answers;
mod reply_frame;
mod sealed;
mod signatures;
mod signed_reply;
mod streams;
mod text;
mod urls;
mod world;

use arbitrary::{Arbitrary, Unstructured};

/// What the modules name that are included from other crates.
mod call_id {
    pub(crate) use replybus::CallId;
}
mod error {
    pub(crate) use replybus::SetupError;

    /// As far as what Redis answers is read.
    #[derive(Debug)]
    pub(crate) enum Failure {
        Unexpected,
    }
}
#[allow(dead_code, unreachable_pub)]
#[path = "../../bus-redis/src/group.rs"]
mod group;
mod limits {
    pub(crate) use replybus::limits::*;
}
mod message {
    pub(crate) use replybus::message::{Headers, Message, Properties, Text};
}

/// One decoder, or what several are part of.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: of its module, and of the folder of its corpus.
    pub name: &'static str,
    /// Takes any bytes, and panics if a promise is not kept.
    pub run: fn(&[u8]),
    /// How often each file of its corpus is changed in a test: what takes whole buses costs more.
    pub mutants: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target::new("answers", answers::run, 60),
    Target::new("body", body::run, 300),
    Target::new("bundle", bundle::run, 300),
    Target::new("contracts", contracts::run, 60),
    Target::new("control", control::run, 40),
    Target::new("delivery", delivery::run, 40),
    Target::new("events", events::run, 40),
    Target::new("frames", frames::run, 300),
    Target::new("keys", keys::run, 100),
    Target::new("letters", letters::run, 40),
    Target::new("outcomes", outcomes::run, 60),
    Target::new("records", records::run, 60),
    Target::new("redis_answers", redis_answers::run, 600),
    Target::new("reply_frame", reply_frame::run, 300),
    Target::new("sealed", sealed::run, 100),
    Target::new("signatures", signatures::run, 30),
    Target::new("signed_reply", signed_reply::run, 300),
    Target::new("streams", streams::run, 300),
    Target::new("text", text::run, 300),
    Target::new("urls", urls::run, 300),
];

impl Target {
    const fn new(name: &'static str, run: fn(&[u8]), mutants: usize) -> Self {
        Self { name, run, mutants }
    }

    /// The target of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        TARGETS.iter().find(|target| target.name == name).copied()
    }
}

/// A value out of any bytes; `None` of too few.
fn arbitrary<'a, T: Arbitrary<'a>>(data: &'a [u8]) -> Option<T> {
    T::arbitrary_take_rest(Unstructured::new(data)).ok()
}
