//! Requests and events inside one process.
