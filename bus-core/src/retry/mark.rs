//! The mark on an error that passes.

use crate::context::Context;

/// Marks an error as passing: the command is run again later, if its method says
/// `#[command(retry(..))]`.
///
/// A run that is marked has done nothing, or nothing that a further run does twice. A command that is
/// cancelled while it waits for its next run counts as one that never ran. The same call is
/// then run again, under its id and idempotency key, with [`Context::attempt`] one higher; its
/// caller waits on, and is told of the last error only: when no run is left, or the next would be
/// after the caller's deadline. An error that is answered so is not recorded, as by
/// [`Context::release_key`]; that is all the mark does where the method has no `retry`.
///
/// ```
/// use replybus::{Bus, Context, RetryLater, queue_handler};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
/// pub enum Unpaid {
///     #[error("the card was declined")]
///     Declined,
///     #[error("the bank does not answer")]
///     NoBank,
/// }
///
/// #[queue_handler("payment.requests")]
/// pub trait Payments {
///     #[command(retry(max = 5, base = "10ms", max_delay = "1m", jitter))]
///     async fn pay(&self, amount: u64) -> Result<u64, Unpaid>;
/// }
///
/// struct Card;
///
/// impl Payments for Card {
///     async fn pay(&self, amount: u64) -> Result<u64, Unpaid> {
///         // Not answered: tried again. Declined: answered.
///         let limit = ask_the_bank().await.ok_or(Unpaid::NoBank).retry_later()?;
///         if amount > limit { Err(Unpaid::Declined) } else { Ok(amount) }
///     }
/// }
///
/// async fn ask_the_bank() -> Option<u64> {
///     // It is there for the third attempt.
///     (Context::current().attempt() > 2).then_some(100)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::in_memory();
/// # let serving = bus.serve(PaymentsServer::new(Card)).await?;
/// let payments = PaymentsClient::new(&bus);
/// assert_eq!(payments.pay(70).await?, 70);
/// # assert!(matches!(payments.pay(170).await.unwrap_err().into_handler(), Ok(Unpaid::Declined)));
/// # serving.shutdown().await?;
/// # Ok(())
/// # }
/// ```
///
/// The mark is on the run, not on the value: a handler that goes on after it, and returns another
/// error, returns that as a passing one. So use it where the error leaves the handler.
pub trait RetryLater: Sized {
    /// The same result; if it is an error, the run is marked.
    #[must_use = "the error is what is tried again: return it"]
    fn retry_later(self) -> Self;
}

impl<T, E> RetryLater for Result<T, E> {
    fn retry_later(self) -> Self {
        if self.is_err() {
            Context::current().put_off();
        }
        self
    }
}
