//! What services and groups could not handle, for those who look after it: listed, put back, or
//! thrown away.
//!
//! All of it is done by a look through the queue of the letters, which holds each letter until it
//! ends. A letter leaves the queue only after the broker has said that it has the message that was
//! put back; so if this process, its connection or the broker dies at any moment, a letter is in
//! its queue, put back, or both. Both is recognised by whoever serves the queue, as any copy is.

mod error;
mod letter;
mod purge;
mod redrive;
mod walk;

pub use error::{DeadLetterError, NotRedriven};
pub use letter::DeadLetter;
pub use purge::Purge;
pub use redrive::{Redrive, Redriven};

use crate::{
    bus::Bus,
    contract::check_name,
    error::SetupError,
    limits::{DEAD_LETTERS_LISTED_BYTES_MAX, DEAD_LETTERS_LISTED_MAX},
    work::dead_letter_queue,
};
use std::{
    fmt,
    ops::{ControlFlow, Range},
};
use walk::Walk;

impl Bus {
    /// The dead letters of a queue of this bus: that of a service, or a group of events.
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Debug, Serialize, Deserialize)]
    /// pub struct NoSuchAddress;
    ///
    /// #[queue_handler("mail.requests")]
    /// pub trait Mail {
    ///     async fn welcome(&self, address: String) -> Result<(), NoSuchAddress>;
    /// }
    /// # struct Postman;
    /// # impl Mail for Postman {
    /// #     async fn welcome(&self, _: String) -> Result<(), NoSuchAddress> { Err(NoSuchAddress) }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(MailServer::new(Postman)).await?;
    /// # MailClient::new(&bus).welcome("nobody".into()).send().await?;
    /// # while bus.inspect("mail.requests.dead").await?.is_none_or(|queue| queue.waiting == 0) {
    /// #     tokio::task::yield_now().await;
    /// # }
    /// #[derive(Deserialize)]
    /// struct Welcome { address: String } // the arguments, or those that matter, by their names
    ///
    /// let letters = bus.dead_letters("mail.requests");
    /// for letter in letters.list(0..100).await?.letters {
    ///     let Welcome { address } = letter.arguments()?;
    ///     println!("{} to {address}: {}", letter.name(), letter.reason());
    /// }
    /// let put_back = letters.redrive(|letter| letter.name() == "welcome").await?;
    /// assert_eq!(put_back.redriven, 1);
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn dead_letters(&self, queue: impl Into<String>) -> DeadLetterQueue {
        DeadLetterQueue {
            bus: self.clone(),
            queue: queue.into(),
        }
    }
}

/// The dead letters of one queue. Cheap to clone.
#[derive(Clone)]
pub struct DeadLetterQueue {
    bus: Bus,
    /// The queue that they come from, without the namespace.
    queue: String,
}

/// Some of the letters of a queue, oldest first.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeadLetterPage {
    /// The letters. Fewer than were asked for if there are no more, or if they are large: then go
    /// on behind the last one.
    pub letters: Vec<DeadLetter>,
    /// The letters that were in the queue when the look began, those that somebody else held left
    /// out.
    pub total: u64,
}

impl DeadLetterQueue {
    /// The letters at these positions, counted from the oldest, which is 0. They stay where they
    /// are; for the moment of the look nobody else is given them. All that are before them pass as
    /// well, so a page far behind costs more.
    ///
    /// At most [`DEAD_LETTERS_LISTED_MAX`] at a time, and no more than
    /// [`DEAD_LETTERS_LISTED_BYTES_MAX`] of them.
    ///
    /// # Errors
    /// More are asked for, there is no such queue, or the broker can't be reached or refuses.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn list(&self, positions: Range<u64>) -> Result<DeadLetterPage, DeadLetterError> {
        let wanted = positions.end.saturating_sub(positions.start);
        if wanted > DEAD_LETTERS_LISTED_MAX {
            let reason = format!("{wanted} letters, up to {DEAD_LETTERS_LISTED_MAX} are allowed");
            return Err(SetupError::setting("list", reason).into());
        }
        let mut walk = self.walk().await?;
        let (mut letters, mut bytes) = (Vec::new(), 0);
        while walk.seen() < positions.end
            && let Some((letter, _held)) = walk.next().await?
        {
            if walk.seen() <= positions.start {
                continue;
            }
            bytes += letter.bytes();
            if bytes > DEAD_LETTERS_LISTED_BYTES_MAX && !letters.is_empty() {
                break;
            }
            letters.push(letter);
        }
        let total = walk.total();
        walk.end().await?;
        Ok(DeadLetterPage { letters, total })
    }

    /// Shows each letter to `look`, oldest first, until it breaks off. They stay where they are; for
    /// the moment of the look nobody else is given them. Returns how many were in the queue when it
    /// began, as [`DeadLetterPage::total`] does.
    ///
    /// ```
    /// # use replybus::{Bus, dead_letters::DeadLetter};
    /// # async fn oldest(bus: &Bus) -> Result<Option<DeadLetter>, replybus::dead_letters::DeadLetterError> {
    /// use std::ops::ControlFlow;
    ///
    /// let mut panicked = None;
    /// let letters = bus.dead_letters("mail.requests");
    /// letters
    ///     .look(|letter| {
    ///         if letter.reason() != "panicked" {
    ///             return ControlFlow::Continue(());
    ///         }
    ///         panicked = Some(letter);
    ///         ControlFlow::Break(())
    ///     })
    ///     .await?;
    /// # Ok(panicked)
    /// # }
    /// ```
    ///
    /// # Errors
    /// There is no such queue, or the broker can't be reached or refuses.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn look(
        &self,
        mut look: impl FnMut(DeadLetter) -> ControlFlow<()> + Send,
    ) -> Result<u64, DeadLetterError> {
        let mut walk = self.walk().await?;
        while let Some((letter, _held)) = walk.next().await? {
            if look(letter).is_break() {
                break;
            }
        }
        let total = walk.total();
        walk.end().await?;
        Ok(total)
    }

    /// Puts back those letters of which `wanted` says `true`, to be handled: options, then
    /// `.await`. See [`Redrive`].
    pub fn redrive(&self, wanted: impl FnMut(&DeadLetter) -> bool + Send + 'static) -> Redrive {
        Redrive::new(self.clone(), Box::new(wanted))
    }

    /// Throws away those letters of which `wanted` says `true`: options, then `.await`. See
    /// [`Purge`].
    pub fn purge(&self, wanted: impl FnMut(&DeadLetter) -> bool + Send + 'static) -> Purge {
        Purge::new(self.clone(), Box::new(wanted))
    }

    async fn walk(&self) -> Result<Walk, DeadLetterError> {
        check_name("queue", &self.queue)?;
        let queue = dead_letter_queue(&self.bus.name(&self.queue));
        Walk::begin(self.bus.inner().transport.as_ref(), queue).await
    }
}

/// Says which letters are wanted.
type Wanted = Box<dyn FnMut(&DeadLetter) -> bool + Send>;

/// Is told of each letter that was wanted.
type Told = Box<dyn FnMut(Progress<'_>) + Send>;

/// A letter that was dealt with, and how far the look has come.
#[derive(Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The letter.
    pub letter: &'a DeadLetter,
    /// Whether it has left its queue; if not, why.
    pub outcome: Result<(), NotRedriven>,
    /// The letters that were seen up to now, wanted or not.
    pub seen: u64,
    /// The letters that were there when the look began: those that came since are not looked at.
    pub total: u64,
}

impl fmt::Debug for DeadLetterQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterQueue")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
