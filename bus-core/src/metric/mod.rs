//! Metrics that are counted at each call: names and labels are put together once, and what records
//! them is asked for a handle once a second.

mod handles;
mod method;

pub(crate) use handles::Handles;
pub(crate) use method::{MethodHistogram, MethodMetrics};

use metrics::{Level, Metadata};

/// Where they come from, for recorders that ask.
pub(crate) static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
