//! What the macros accept, what they refuse, and what comes of it on a bus.

extern crate replybus as bus_renamed;

pub mod accepted;
mod refused;
mod round_trip;

/// The crate behind a re-export.
#[allow(clippy::single_component_path_imports, reason = "a re-export")]
mod reexported {
    pub(crate) use replybus;
}
