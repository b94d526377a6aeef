//! Answers, and arguments, that are streams of items; of arguments at [`FeedCall`]. Answers in the
//! order they travel:
//!
//! A [`StreamCall`] opens one: a query like any other, whose handler returns [`Items`] and whose
//! reply says where the producer is. From then on the producer takes items from the handler's stream
//! and adds them as numbered frames to the caller's inbox, no further ahead than the reader's window,
//! and keeps what the reader has not taken; [`Streaming`] reads them, gives credit to the control
//! queue of the producer's service, and asks again for what it misses.
//!
//! ```
//! use futures_util::stream;
//! use replybus::{Bus, CallError, queue_handler, stream::Items};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
//! #[error("there is no such count")]
//! pub struct NoSuchCount;
//!
//! #[queue_handler("counter.requests")]
//! pub trait Counter {
//!     /// The numbers below `end`.
//!     #[stream]
//!     async fn count(&self, end: u64) -> Result<Items<u64, NoSuchCount>, NoSuchCount>;
//! }
//!
//! struct Counting;
//!
//! impl Counter for Counting {
//!     async fn count(&self, end: u64) -> Result<Items<u64, NoSuchCount>, NoSuchCount> {
//!         if end == 0 {
//!             return Err(NoSuchCount);
//!         }
//!         Ok(Items::new(stream::iter((0..end).map(Ok))))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = Bus::in_memory();
//! let serving = bus.serve(CounterServer::new(Counting)).await?;
//! let counter = CounterClient::new(&bus);
//!
//! let mut numbers = counter.count(1_000).await?;
//! let mut sum = 0;
//! while let Some(number) = numbers.next().await {
//!     sum += number?;
//! }
//! assert_eq!(sum, 499_500);
//!
//! let refused = counter.count(0).await;
//! assert!(matches!(refused, Err(CallError::Handler(NoSuchCount))));
//! # serving.shutdown().await?;
//! # Ok(())
//! # }
//! ```

mod call;
pub(crate) mod feed;
mod heard;
mod inbox;
pub(crate) mod items;
mod keeper;
mod producer;
mod producers;
mod silence;
mod streaming;
mod tally;
mod unacknowledged;

pub use call::StreamCall;
pub use feed::{FeedCall, StreamArgument};
pub use items::{Items, StreamOutcome};
pub use streaming::Streaming;

pub(crate) use feed::{FeedLine, Invitation};
pub(crate) use inbox::StreamInbox;
pub(crate) use producers::{Opening, Producers};

use crate::{call_id::CallId, limits::STREAM_WINDOW_BYTES_MAX};
use serde::{Deserialize, Serialize};
use std::ptr;

/// What a request says of the stream that its method has.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The answer is one.
    Answer(Opening),
    /// An argument is one.
    Argument(Invitation),
}

impl PartialEq for Asked {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }
}

impl Eq for Asked {}

/// A number that tells two streams of one call apart.
fn any_number() -> u32 {
    let id = CallId::new();
    id.as_bytes()
        .last_chunk()
        .copied()
        .map_or(0, u32::from_be_bytes)
}

/// The window that is meant by so many bytes.
fn window_of(bytes: u32) -> u32 {
    bytes.clamp(1, STREAM_WINDOW_BYTES_MAX)
}

/// The reply that opens a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opened {
    /// The control queue of the service that produces it, by its full name.
    pub(crate) queue: String,
    /// Which of the producers that there may be for the call, one for each of its copies.
    pub(crate) producer: u32,
}
