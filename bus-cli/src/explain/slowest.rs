//! The calls that took longest, so that there is one to explain.

use super::as_json;
use crate::{
    failure::Failure,
    output::{Output, Table, ago, clock, duration},
};
use replybus::flight::Flight;
use serde_json::Value;
use std::time::Duration;

pub(super) fn print(flights: &[Flight], within: Duration, output: &Output) -> Result<(), Failure> {
    if output.json {
        let all: Vec<Value> = flights.iter().map(as_json).collect();
        return output.json(&all);
    }
    if flights.is_empty() {
        return output.line(&format!(
            "no call is recorded of the last {}: nothing was called, or the programs keep no flight \
             record, which is off until Bus::builder().flight_record(..) or a setting of theirs \
             switches it on",
            duration(within)
        ));
    }
    let mut table = Table::new(&["TOOK", "CALL", "METHOD", "QUEUE", "OUTCOME", "BEGAN"]);
    for flight in flights {
        let took = match flight.took() {
            Some(took) => duration(took),
            // Under way, or its end was not recorded.
            None => format!("> {}", ago(flight.began_at())),
        };
        table.row([
            &took,
            &flight.call,
            &format!("{}.{}", flight.service, flight.method),
            &flight.queue,
            &flight.outcome().unwrap_or("-"),
            &clock(flight.began_at()),
        ]);
    }
    table.print(output)
}
