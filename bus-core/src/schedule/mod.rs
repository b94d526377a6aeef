//! What is to happen later: the moment, as callers and emitters give it.

mod due;

pub(crate) use due::{DelayTooLong, Due, When};
