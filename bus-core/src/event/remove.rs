//! Removing a group that is no longer wanted: until then its queue collects every event.

use super::Event;
use crate::{
    bus::Bus,
    contract::check_name,
    error::SetupError,
    transport::{Binding, Removal},
    work::dead_letter_queue,
};
use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
};

impl Bus {
    /// Removes a group from an event: options, then `.await`. What was its binding, its queue and
    /// its queue of dead letters are gone from the broker then.
    ///
    /// A group whose members have all stopped is still there and collects events, because they may
    /// come back. This is for one that nobody will subscribe again.
    ///
    /// ```
    /// use replybus::{Bus, Event};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event("transfer.completed")]
    /// struct TransferCompleted { amount: u64 }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let store = |_: TransferCompleted| async {};
    /// let subscription = bus.subscribe("statements", store).await?;
    /// subscription.shutdown().await?;
    /// bus.emit(&TransferCompleted { amount: 70 }).await?; // waits for a member to come back
    ///
    /// let refused = bus.remove_group::<TransferCompleted>("statements").await;
    /// assert!(refused.is_err(), "it holds an event");
    /// let removed = bus.remove_group::<TransferCompleted>("statements").discard_messages().await?;
    /// assert!(removed);
    /// # Ok(())
    /// # }
    /// ```
    pub fn remove_group<E: Event>(&self, group: impl Into<String>) -> RemoveGroup {
        RemoveGroup {
            bus: self.clone(),
            group: group.into(),
            binding: Binding::new(self.name(E::EXCHANGE), E::ROUTING_KEY),
            discard_messages: false,
        }
    }
}

/// A group about to be removed: set options, then await it.
#[must_use = "a group is not removed until it is awaited"]
pub struct RemoveGroup {
    bus: Bus,
    group: String,
    binding: Binding,
    discard_messages: bool,
}

/// A group was not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveGroupError {
    /// A queue of it holds messages: have them handled first, or
    /// [discard them](RemoveGroup::discard_messages).
    #[error("queue {queue:?} holds {waiting} messages")]
    #[non_exhaustive]
    HoldsMessages {
        /// The queue on the broker: the group's, or that of its dead letters.
        queue: String,
        /// The messages that wait in it.
        waiting: u64,
    },
    /// Somebody takes messages from a queue of it, and would declare it again: stop that first.
    #[error("queue {queue:?} has {consumers} consumers")]
    #[non_exhaustive]
    InUse {
        /// The queue on the broker.
        queue: String,
        /// Its consumers, of all programs.
        consumers: u64,
    },
    /// The name makes no sense, the broker refuses, or it can't be reached.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl RemoveGroup {
    /// Removes the group though its queues hold messages, which are lost.
    pub fn discard_messages(mut self) -> Self {
        self.discard_messages = true;
        self
    }

    async fn remove(self) -> Result<bool, RemoveGroupError> {
        check_name("group", &self.group)?;
        let queue = self.bus.name(&self.group);
        // First, because it may be missed by nobody: who needs it declares it again.
        let dead = self.remove_queue(dead_letter_queue(&queue), &[]).await?;
        let bindings = std::slice::from_ref(&self.binding);
        let group = self.remove_queue(queue, bindings).await?;
        if dead || group {
            tracing::info!(group = self.group, "removed a group");
        }
        Ok(dead || group)
    }

    async fn remove_queue(
        &self,
        queue: String,
        bindings: &[Binding],
    ) -> Result<bool, RemoveGroupError> {
        let bus = self.bus.inner();
        let removing = bus
            .transport
            .remove(&queue, bindings, self.discard_messages);
        match removing.await? {
            Removal::Removed => Ok(true),
            Removal::Missing => Ok(false),
            Removal::Kept(state) if state.consumers > 0 => Err(RemoveGroupError::InUse {
                queue,
                consumers: state.consumers,
            }),
            Removal::Kept(state) => Err(RemoveGroupError::HoldsMessages {
                queue,
                waiting: state.waiting,
            }),
        }
    }
}

impl IntoFuture for RemoveGroup {
    type Output = Result<bool, RemoveGroupError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Removes the group; `false` if there was none.
    ///
    /// # Errors
    /// A queue of it is consumed or holds messages, or the broker refuses or can't be reached. If that
    /// was lost half way and does not come back in time, the group may be left without its binding,
    /// until a member subscribes or it is asked for again.
    ///
    /// Dropped before it is ready, the group may be removed in part; it can be asked for again.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.remove())
    }
}

impl fmt::Debug for RemoveGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoveGroup")
            .field("group", &self.group)
            .field("discard_messages", &self.discard_messages)
            .finish_non_exhaustive()
    }
}
