//! Whether a store can do its work, and that it could not.

use crate::error::BoxError;

/// The state of a store: whether it can do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreHealth {
    /// Replies can be stored and heard.
    Up,
    /// One of them can't; the text says which and why.
    Down(String),
}

/// The store failed.
///
/// ```
/// use replybus::reply::StoreError;
/// use std::{error::Error, io};
///
/// let cause = io::Error::from(io::ErrorKind::BrokenPipe);
/// let error = StoreError::new("store a reply", cause);
/// assert_eq!(error.to_string(), "the reply store failed to store a reply");
/// assert_eq!(error.source().unwrap().to_string(), "broken pipe");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the reply store failed to {action}")]
pub struct StoreError {
    action: &'static str,
    source: BoxError,
}

impl StoreError {
    /// A failure to do `action`, such as "store a reply".
    pub fn new(action: &'static str, source: impl Into<BoxError>) -> Self {
        Self {
            action,
            source: source.into(),
        }
    }

    /// The action that failed, such as "store a reply".
    #[must_use]
    pub fn action(&self) -> &'static str {
        self.action
    }
}
