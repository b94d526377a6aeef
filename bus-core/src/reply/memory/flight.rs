//! The flight record: events, numbered in the order in which they came.

use crate::{
    contract::unix_time,
    limits::{FLIGHT_EVENT_BYTES_MAX, FLIGHT_PAGE_EVENTS_MAX},
    reply::{FlightBatch, FlightCursor, FlightPage},
};
use bytes::Bytes;
use std::{collections::VecDeque, time::Duration};

/// The latest. It ends with its store, and has no time to live.
#[derive(Debug, Default)]
pub(super) struct Flight {
    events: VecDeque<(u64, Duration, Bytes)>,
    added: u64,
}

impl Flight {
    pub(super) fn add(&mut self, batch: &FlightBatch) {
        let now = unix_time();
        for event in &batch.events {
            self.added += 1;
            self.events.push_back((self.added, now, event.clone()));
        }
        let over = self.events.len().saturating_sub(batch.keep);
        self.events.drain(..over);
    }

    pub(super) fn page(&self, from: &FlightCursor) -> FlightPage {
        let begin = match from {
            FlightCursor::Since(moment) => self.events.partition_point(|(_, at, _)| at < moment),
            FlightCursor::After(name) => {
                let last: u64 = name.parse().unwrap_or(u64::MAX);
                self.events.partition_point(|(number, ..)| *number <= last)
            }
        };
        let there = self.events.iter().skip(begin);
        let page: Vec<_> = there.take(FLIGHT_PAGE_EVENTS_MAX).collect();
        let last = page.last().filter(|_| page.len() == FLIGHT_PAGE_EVENTS_MAX);
        let next = last.map(|(number, ..)| FlightCursor::After(number.to_string()));
        let events = page.into_iter().map(|(.., event)| event.clone());
        let events = events.filter(|event| event.len() <= FLIGHT_EVENT_BYTES_MAX);
        FlightPage::new(events.collect(), next)
    }
}
