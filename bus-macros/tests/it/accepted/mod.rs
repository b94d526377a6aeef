//! Contracts and events that compile, each with what could get in the way of its expansion.

#![allow(
    missing_docs,
    missing_debug_implementations,
    dead_code,
    unreachable_pub,
    unused_qualifications,
    reason = "what users write is not held to the rules of this workspace"
)]

pub mod attributes;
pub mod contract;
pub mod deny_missing_docs;
pub mod deprecated;
pub mod event;
pub mod generic_payload;
pub mod no_arguments;
pub mod no_implicit_prelude;
pub mod raw_identifier_argument;
pub mod renamed_crate;
