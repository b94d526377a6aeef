//! The shape of what travels: the properties of a request, several requests in one message, and the
//! frame of a reply. Written down
//! for other languages in `docs/wire-protocol.md`.

pub(crate) mod bundle;
pub(crate) mod headers;
mod reply_frame;

pub use reply_frame::{FrameError, ReplyFrame};
