//! What a bus promises, on the in-memory transport and store: one behaviour a file.

mod bank;
mod bad_input;
mod commands;
mod context;
mod deadlines;
mod dead_letters;
mod errors;
mod events;
mod layers;
mod round_trip;
mod shutdown;
mod tickets;
mod wire_format;
