//! What a bus promises, on the in-memory transport and store: one behaviour a file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

mod asked_again;
mod audit;
mod bad_input;
mod bank;
mod between;
mod breaker;
mod bundles;
mod cache;
mod cancel;
mod commands;
mod context;
#[cfg(feature = "schema")]
mod contract_changes;
#[cfg(feature = "schema")]
mod contract_cycles;
mod contract_mismatch;
mod control;
mod copies;
mod dead_letters;
mod deadlines;
mod delayed_list;
mod delays;
mod errors;
mod events;
mod events_given_back;
mod faulty_store;
mod feeds;
mod feeds_by_hand;
mod flight;
mod forged;
mod hops;
mod jobs;
mod joined;
mod killers;
mod layers;
mod letters_dropped;
mod letters_redriven;
mod log_lines;
mod logged;
mod lossy;
mod metrics;
mod missed_inboxes;
mod mortal;
mod occupied;
#[cfg(feature = "simulation")]
mod one_clock;
#[cfg(feature = "simulation")]
mod overload;
mod own_record;
mod paced;
mod partitions;
mod partitions_forged;
mod presence;
mod propagation;
mod public_api;
mod rate_limit;
mod repeated;
mod replies;
mod retries;
mod round_trip;
#[cfg(feature = "schedules")]
mod schedules;
#[cfg(feature = "schema")]
mod schema;
mod seen_before;
mod shutdown;
#[cfg(feature = "signed")]
mod signed;
#[cfg(feature = "signed")]
mod signed_jobs;
#[cfg(feature = "signed")]
mod signed_streams;
mod stood_still;
mod stream_outages;
mod streams;
mod tickets;
mod unserved;
mod unsure;
mod watch;
mod wire_format;
