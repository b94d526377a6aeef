//! The channels that the broker closed, with its words. lapin tells them only to those who wait for
//! something on the channel, and not what they are about.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The broker's reason for closing a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChannelClose {
    pub(crate) code: u16,
    pub(crate) text: String,
    /// Class and method of what it did not like.
    pub(crate) method: (u16, u16),
}

/// The channels of one connection that the broker closed, until they are opened again: no more than
/// a connection has channels.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChannelCloses(Arc<Mutex<HashMap<u16, ChannelClose>>>);

impl ChannelCloses {
    /// The reason why the broker closed `channel`, if it did.
    pub(crate) fn of(&self, channel: u16) -> Option<ChannelClose> {
        self.closes().get(&channel).cloned()
    }

    pub(super) fn note(&self, channel: u16, close: ChannelClose) {
        self.closes().insert(channel, close);
    }

    pub(super) fn forget(&self, channel: u16) {
        self.closes().remove(&channel);
    }

    fn closes(&self) -> MutexGuard<'_, HashMap<u16, ChannelClose>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
