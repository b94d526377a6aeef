//! Messages without a confirm: awaited calls, whose replies say that they arrived. Written by the
//! caller's own thread while the line has a channel, and by the publisher's task otherwise.

mod channel;
mod line;

pub(super) use line::{CallerChannel, DirectLine};
