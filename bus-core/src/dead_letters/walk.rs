//! A look through the dead letters that are there when it begins.

use super::{DeadLetter, DeadLetterError, NotRedriven, Progress, Told};
use crate::transport::{Browser, Settler, Transport};

/// A look through one queue of dead letters. Those that come while it goes on, such as one that was
/// put back and failed again, are not seen: it would never end.
#[derive(Debug)]
pub(super) struct Walk {
    browser: Box<dyn Browser>,
    seen: u64,
    total: u64,
}

impl Walk {
    pub(super) async fn begin(
        transport: &dyn Transport,
        queue: String,
    ) -> Result<Self, DeadLetterError> {
        let Some(state) = transport.inspect(&queue).await? else {
            return Err(DeadLetterError::NoQueue { queue });
        };
        Ok(Self {
            browser: transport.browse(&queue).await?,
            seen: 0,
            total: state.waiting,
        })
    }

    /// The next letter, held until the look ends, unless its settler acks it.
    pub(super) async fn next(&mut self) -> Result<Option<(DeadLetter, Settler)>, DeadLetterError> {
        if self.seen >= self.total {
            return Ok(None);
        }
        let Some(delivery) = self.browser.next().await? else {
            return Ok(None);
        };
        self.seen += 1;
        let letter = DeadLetter::read(delivery.message, delivery.malformed);
        Ok(Some((letter, delivery.settler)))
    }

    /// The letters that were seen.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// The letters that were there when it began.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Tells whoever wants to know what became of a letter.
    pub(super) fn tell(
        &self,
        told: &mut Option<Told>,
        letter: &DeadLetter,
        outcome: Result<(), NotRedriven>,
    ) {
        if let Some(told) = told {
            told(Progress {
                letter,
                outcome,
                seen: self.seen,
                total: self.total,
            });
        }
    }

    /// Gives back what was not acked, and makes sure that the broker has heard of what was.
    pub(super) async fn end(self) -> Result<(), DeadLetterError> {
        Ok(self.browser.end().await?)
    }
}
