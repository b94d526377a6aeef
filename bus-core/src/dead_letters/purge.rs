//! Throwing letters away.

use super::{DeadLetterError, DeadLetterQueue, Progress, Told, Wanted};
use crate::transport::Settled;
use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
};

/// Letters about to be thrown away: set options, then await it for their number.
///
/// ```
/// # use replybus::Bus;
/// # async fn purge(bus: &Bus) -> Result<(), replybus::dead_letters::DeadLetterError> {
/// // What nobody can ever read.
/// let gone = bus.dead_letters("mail.requests").purge(|letter| letter.malformed().is_some()).await?;
/// println!("{gone} letters are gone");
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is thrown away until it is awaited"]
pub struct Purge {
    queue: DeadLetterQueue,
    wanted: Wanted,
    told: Option<Told>,
    at_most: u64,
}

impl Purge {
    pub(super) fn new(queue: DeadLetterQueue, wanted: Wanted) -> Self {
        Self {
            queue,
            wanted,
            told: None,
            at_most: u64::MAX,
        }
    }

    /// Ends after so many letters. By default all that are wanted are thrown away.
    pub fn at_most(mut self, letters: u64) -> Self {
        self.at_most = letters;
        self
    }

    /// Is told of each letter as it is thrown away.
    pub fn on_progress(mut self, told: impl FnMut(Progress<'_>) + Send + 'static) -> Self {
        self.told = Some(Box::new(told));
        self
    }

    async fn run(mut self) -> Result<u64, DeadLetterError> {
        let mut walk = self.queue.walk().await?;
        let mut purged = 0;
        while purged < self.at_most
            && let Some((letter, settler)) = walk.next().await?
        {
            if !(self.wanted)(&letter) {
                continue;
            }
            settler.settle(Settled::Ack);
            purged += 1;
            walk.tell(&mut self.told, &letter, Ok(()));
        }
        walk.end().await?;
        Ok(purged)
    }
}

impl IntoFuture for Purge {
    type Output = Result<u64, DeadLetterError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Throws the letters away, and returns how many.
    ///
    /// # Errors
    /// There is no such queue, or the broker can't be reached or refuses. Those that were thrown
    /// away last may be there still.
    ///
    /// Dropped before it is ready, some letters are gone and the others are in their places.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Purge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purge")
            .field("queue", &self.queue)
            .field("at_most", &self.at_most)
            .finish_non_exhaustive()
    }
}
