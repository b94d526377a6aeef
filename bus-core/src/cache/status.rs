//! Where an answer came from.

use std::fmt;

/// Where the answer to a query with a [cache](crate::contract::CachePolicy) came from. In one word,
/// as in a header of HTTP: [`as_str`](Self::as_str).
///
/// ```
/// use replybus::client::CacheStatus;
///
/// assert_eq!(CacheStatus::Hit.to_string(), "hit");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheStatus {
    /// It was kept: nothing was sent.
    Hit,
    /// Another call of this process had it computed at the same time.
    Shared,
    /// It was computed for this call, and kept.
    Miss,
    /// It was computed for this call as that [asked for it](crate::Call::uncached), and kept.
    Refreshed,
    /// The cache was not asked, or did not answer: it was computed for this call, and not kept.
    Bypassed,
}

impl CacheStatus {
    /// In one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Shared => "shared",
            Self::Miss => "miss",
            Self::Refreshed => "refreshed",
            Self::Bypassed => "bypassed",
        }
    }

    /// `true` if it was not computed for this call.
    #[must_use]
    pub const fn is_reused(self) -> bool {
        matches!(self, Self::Hit | Self::Shared)
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
