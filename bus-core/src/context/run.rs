//! What a handler learns of its run, and says of it: whether it is still wanted, how far it is, and that
//! it did nothing.

use super::Context;
use crate::job::Progress;
use std::{future::Future, sync::atomic::Ordering, time::Duration};
use tokio_util::sync::CancellationToken;

impl Context {
    /// True if the work is no longer wanted: its caller dropped the call or cancelled it, by a handle
    /// or a ticket, the deadline has passed, the service is shut down and its time to drain is up, or
    /// another worker has taken the command over. Within a [stream](crate::stream): its reader has
    /// left. A command is not stopped by it; it may stop itself where that is safe. One that stops
    /// before it did anything should call [`release_key`](Self::release_key), else its error is the
    /// outcome for its key.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let token = self.0.cancelled.as_ref();
        token.is_some_and(CancellationToken::is_cancelled)
            || self.remaining() == Some(Duration::ZERO)
    }

    /// Waits until the work is no longer wanted; see [`is_cancelled`](Self::is_cancelled).
    ///
    /// ```
    /// use replybus::Context;
    ///
    /// /// Sends what it can in the time there is, and says how much that was.
    /// async fn send_all(mails: Vec<String>) -> usize {
    ///     for (sent, mail) in mails.into_iter().enumerate() {
    ///         tokio::select! {
    ///             () = send(mail) => {}
    ///             () = Context::current().cancelled() => return sent,
    ///         }
    ///     }
    ///     usize::MAX
    /// }
    /// # async fn send(_: String) {
    /// #     std::future::pending().await
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// #     let now = tokio::time::Instant::now();
    /// #     let context = Context::builder().deadline(now).build();
    /// #     assert_eq!(context.scope(send_all(vec!["hello".into()])).await, 0);
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Safe; may be called again.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        // It borrows nothing, so that it can be asked of a context that is not kept.
        let (token, deadline) = (self.0.cancelled.clone(), self.0.deadline);
        async move {
            let deadline = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let cancelled = async {
                match token {
                    Some(token) => token.cancelled_owned().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = cancelled => {}
                () = deadline => {}
            }
        }
    }

    /// Says that this run of a command did nothing: if it then returns an error, that is answered
    /// but not recorded as the outcome for its idempotency key, and the key is free for another
    /// try. For errors that pass, such as a database that is away; without it they are remembered
    /// as long as any other answer. A handler that returns a value has done something, and this has
    /// no effect; nor has it for queries and events.
    ///
    /// ```
    /// use replybus::{Bus, Context, queue_handler};
    /// use serde::{Deserialize, Serialize};
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
    /// #[error("the database is away")]
    /// pub struct Away;
    ///
    /// #[queue_handler("account.requests")]
    /// pub trait Accounts {
    ///     async fn deposit(&self, amount: u64) -> Result<u64, Away>;
    /// }
    ///
    /// struct Ledger {
    ///     is_away: AtomicBool,
    /// }
    ///
    /// impl Accounts for Ledger {
    ///     async fn deposit(&self, amount: u64) -> Result<u64, Away> {
    ///         if self.is_away.swap(false, Ordering::SeqCst) {
    ///             Context::current().release_key(); // nothing was done: ask again
    ///             return Err(Away);
    ///         }
    ///         Ok(amount)
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let ledger = Ledger { is_away: AtomicBool::new(true) };
    /// # let serving = bus.serve(AccountsServer::new(ledger)).await?;
    /// let accounts = AccountsClient::new(&bus);
    /// let deposit = || accounts.deposit(70).idempotency_key("payment-4711");
    /// assert!(deposit().await.is_err());
    /// assert_eq!(deposit().await?, 70); // without the release it would be the error again
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn release_key(&self) {
        for inner in self.0.of_one_run() {
            inner.key_released.0.store(true, Ordering::Release);
        }
    }

    /// True if the handler has said that its run did nothing.
    pub(crate) fn key_is_released(&self) -> bool {
        self.0.key_released.0.load(Ordering::Acquire)
    }

    /// Says that this run did nothing, and that another may do better.
    pub(crate) fn put_off(&self) {
        for inner in self.0.of_one_run() {
            inner.put_off.0.store(true, Ordering::Release);
        }
        self.release_key();
    }

    /// True if the handler has said so.
    pub(crate) fn is_put_off(&self) -> bool {
        self.0.put_off.0.load(Ordering::Acquire)
    }

    /// The token that fires when the work is no longer wanted, its deadline apart.
    pub(crate) fn token(&self) -> CancellationToken {
        self.0.cancelled.clone().unwrap_or_default()
    }

    /// Says how far a [job](crate::contract::MethodContract::job) is: `done` units of `total`, if
    /// that is known, and a word for people. Whoever waits for it sees that
    /// ([`Call::on_progress`](crate::Call::on_progress)), and whoever has its ticket
    /// ([`Ticket::status`](crate::Ticket::status)). Returns at once, and may be called as often as
    /// there is something to say: the newest is kept in the record of the job, written every
    /// [`PROGRESS_EVERY`](crate::limits::PROGRESS_EVERY) at most. Outside of a job it does nothing.
    ///
    /// ```
    /// use replybus::Context;
    ///
    /// async fn import(lines: &[&str]) {
    ///     let context = Context::current();
    ///     let total = lines.len() as u64;
    ///     for (done, line) in (1..).zip(lines) {
    ///         // ..
    ///         context.progress(done, total, format!("read {line}"));
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # import(&["a", "b"]).await;
    /// # }
    /// ```
    pub fn progress(&self, done: u64, total: impl Into<Option<u64>>, note: impl Into<String>) {
        if let Some(reporter) = &self.0.reporter {
            reporter.report(Progress::new(done, total, note));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_cancels_before_the_deadline() {
        let token = CancellationToken::new();
        let context = Context::builder().cancelled_by(token.clone()).build();
        assert!(!context.is_cancelled());
        token.cancel();
        context.cancelled().await;
        assert!(context.is_cancelled());
    }
}
