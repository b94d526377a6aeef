//! Arguments that are streams of items: what a call sends while its handler runs. In the order they
//! travel:
//!
//! A [`FeedCall`] is a call like any other, and its request says that there is a stream. Whoever
//! runs it becomes the stream's reader before its handler is called ([`Invitation`]): it gives the
//! stream an id of its own, says so to the caller's inbox ([`FeedLine`]), and waits for the first
//! frame. The caller takes one reader, and produces as a service does ([`Feeding`]), into the
//! inbox of that one; it has others wait. So no handler begins that is not the one the stream is for.

pub(crate) mod argument;
mod call;
mod feeding;
mod line;
mod reading;

pub use argument::StreamArgument;
pub use call::FeedCall;

pub(crate) use line::FeedLine;
pub(crate) use reading::Invitation;
