//! The shape of what travels: the properties of a request, several requests in one message, the
//! frame of a reply, and the frames of a stream. Written down for other languages in
//! `docs/wire-protocol.md`.

pub(crate) mod bundle;
pub(crate) mod feed;
pub(crate) mod headers;
mod reply_frame;
#[cfg(feature = "signed")]
pub(crate) mod signed_frame;
pub(crate) mod signed_reply;
pub(crate) mod stream;

pub use reply_frame::{FrameError, ReplyFrame};
