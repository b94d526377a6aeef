//! Replies and claims inside one process.
