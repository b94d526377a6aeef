//! The RabbitMQ transport against a real broker: `AMQP_URL`, by default the one on this machine.
//!
//! Without a broker each test says so and passes, unless `BUS_REQUIRE_LIVE=1` is set.

#![cfg(feature = "amqp")]
// Helpers of tests say what they expect, as tests do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod consuming;
mod dead_letters;
mod faults;
mod malformed;
mod setup;
mod support;
mod verdicts;
