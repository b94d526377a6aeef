//! What waits on the broker until it is due, for those who look after it.
//!
//! No queue in which messages wait can be looked through without disturbing them, so whoever delays
//! one notes it in the reply store once the broker has it: its id, its method and when it is due,
//! never its body or its key. The broker is the truth. A note that could not be written is missing,
//! and one of a message that was lost, or that the broker's clock brought sooner, stays until its
//! time is over. Nothing depends on a note.

mod message;
mod notes;

pub use message::{DelayedKind, DelayedMessage};

pub(crate) use message::TicketPart;
pub(crate) use notes::{Delayed, DelayedNotes};

use crate::{bus::Bus, contract::check_name, reply::StoreError};
use std::collections::BTreeMap;

impl Bus {
    /// What waits for a queue of this bus, or under the routing key of an event, until it is due:
    /// the nearest first, [`DELAYED_LISTED_MAX`](crate::limits::DELAYED_LISTED_MAX) at most. Beyond
    /// that many nothing more is noted until there is room.
    ///
    /// It is the word of those who delayed them, and of whoever may write to the store; see
    /// [`delayed`](crate::delayed).
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler};
    /// use std::time::Duration;
    ///
    /// #[queue_handler("mail.requests")]
    /// pub trait Mail {
    ///     async fn welcome(&self, address: String) -> Result<(), Never>;
    /// }
    /// # struct Postman;
    /// # impl Mail for Postman {
    /// #     async fn welcome(&self, _: String) -> Result<(), Never> { Ok(()) }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(MailServer::new(Postman)).await?;
    /// let mail = MailClient::new(&bus);
    /// let id = mail.welcome("ada@example.org".into()).send_after(Duration::from_secs(60)).await?;
    ///
    /// # while bus.delayed("mail.requests").await?.is_empty() { tokio::task::yield_now().await; }
    /// for message in bus.delayed("mail.requests").await? {
    ///     println!("{} at {:?}", message.name, message.due_at); // welcome at ..
    /// #   assert_eq!(message.id, id);
    /// }
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The store can't be reached or keeps no such notes, or no queue can have this name.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn delayed(&self, place: &str) -> Result<Vec<DelayedMessage>, StoreError> {
        check_name("queue", place).map_err(|error| StoreError::new("list what waits", error))?;
        let records = self.inner().replies.delayed(place).await?;
        let read = records
            .iter()
            .filter_map(|record| DelayedMessage::read(place, record));
        let messages: BTreeMap<_, _> = read.map(|message| (message.id, message)).collect();
        let mut messages: Vec<_> = messages.into_values().collect();
        messages.sort_by_key(|message| message.due_at);
        Ok(messages)
    }
}
