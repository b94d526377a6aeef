//! The calls that were given up because nobody serves their queue.

use crate::{call_id::CallId, limits::GIVEN_UP_MAX};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// By queue, each until its time is over.
#[derive(Debug, Default)]
pub(super) struct GivenUp(HashMap<String, HashMap<CallId, Instant>>);

impl GivenUp {
    /// Notes a call; `false` if there are too many.
    pub(super) fn note(&mut self, queue: &str, id: CallId, within: Duration) -> bool {
        let now = Instant::now();
        let calls = self.0.entry(queue.to_owned()).or_default();
        if calls.len() >= GIVEN_UP_MAX {
            calls.retain(|_, until| *until > now);
        }
        let fits = calls.len() < GIVEN_UP_MAX;
        if fits {
            calls.insert(id, now + within);
        }
        fits
    }

    /// Those of a queue, each with the time that it has left.
    pub(super) fn of(&mut self, queue: &str) -> Vec<(CallId, Duration)> {
        let now = Instant::now();
        let Some(calls) = self.0.get_mut(queue) else {
            return Vec::new();
        };
        calls.retain(|_, until| *until > now);
        let left = calls.iter().map(|(id, until)| (*id, *until - now));
        left.collect()
    }
}
