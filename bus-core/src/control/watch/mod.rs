//! The calls to a queue, told as they end by those who take them, for as long as somebody asks.
//!
//! Requests go to their queue by the default exchange, beside which nothing can be bound; so what
//! comes is told by the instances. Whoever watches asks them over the control line again and again,
//! and each appends reports to the asker's inbox until it was not asked for a while. A report says
//! which call came to what, and nothing of its contents. There are never more than was asked for, and
//! what is left out is counted; a service that nobody watches looks at a flag.

mod call_watch;
mod report;
mod watches;

pub use call_watch::{CallWatch, WatchOptions};
pub use report::WatchedCall;

pub(crate) use report::CallReport;
pub(crate) use watches::Watches;

pub(super) use report::WatchRequest;
pub(super) use watches::{Reporter, Watcher};

/// The type of the message that asks for reports.
pub(super) const KIND: &str = "watch";
