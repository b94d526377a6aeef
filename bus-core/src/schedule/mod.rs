//! What is to happen later: the moment, as callers and emitters give it; and, with the feature
//! `schedules`, what happens again and again, by a pattern of cron's: [`Bus::schedule`].
//!
//! [`Bus::schedule`]: crate::Bus::schedule

mod due;
#[cfg(feature = "schedules")]
mod missed;
#[cfg(feature = "schedules")]
mod pattern;
#[cfg(feature = "schedules")]
mod putting;
#[cfg(feature = "schedules")]
mod start;
#[cfg(feature = "schedules")]
mod tick;

#[cfg(feature = "schedules")]
pub use {
    missed::Missed,
    start::{Schedule, Scheduled},
    tick::Tick,
};

pub(crate) use due::{DelayTooLong, Due, When};
