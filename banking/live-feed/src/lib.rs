//! Notifications as they are stored, brought to whoever is connected, wherever that is.
//!
//! In reading order: a [`NewNotification`] is published to the [`Feed`], which brings it to every
//! process that has sockets, and there to its user's subscriptions. The [`ws`] router serves
//! `/ws`: each socket is one subscription, for as long as its session lasts.
//!
//! The feed forgets what it has shown, so a client connects first and then fetches the list: the
//! socket is open when it is among those that are subscribed, hence what is stored later comes over
//! the socket, and what was stored before is in the list. What is in both has the same id.

pub mod ws;

mod feed;
mod notification;
#[cfg(test)]
mod testing;

pub use feed::Feed;
pub use notification::NewNotification;
