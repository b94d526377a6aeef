//! Dead letters: messages that could not be handled, kept in a queue of their own with the reason.
//!
//! They are published there by us, with a confirm, before the delivery is acknowledged. A
//! dead-letter exchange on the queue would also take every message that expires, and unless it is
//! a quorum queue it would promise nothing.

use super::Answer;
use crate::{
    error::SetupError,
    limits::{CONFIRM_TIMEOUT, DEAD_LETTERS_MAX},
    message::Message,
    transport::{Outgoing, QueueSpec, Transport, Verdict, Withdrawn},
    wire::headers,
};
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// Pause before a letter is put again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The dead letters of one queue.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetters {
    transport: Arc<dyn Transport>,
    queue: QueueSpec,
    of: String,
    /// Names of headers that are left out.
    secret: Arc<[String]>,
}

impl DeadLetters {
    /// Declares the queue `{of}.dead`, of the same kind.
    pub(crate) async fn declare(
        transport: Arc<dyn Transport>,
        of: &QueueSpec,
    ) -> Result<Self, SetupError> {
        let queue = QueueSpec {
            name: format!("{}.dead", of.name),
            queue_type: of.queue_type,
            length_max: Some(DEAD_LETTERS_MAX),
        };
        transport.declare(queue.clone()).await?;
        Ok(Self {
            transport,
            queue,
            of: of.name.clone(),
            secret: Arc::default(),
        })
    }

    /// Leaves out headers: a letter is kept for long, and read by others than its receiver.
    pub(crate) fn without(mut self, secret: Vec<String>) -> Self {
        self.secret = secret.into();
        self
    }

    /// Keeps a message. While the broker does not take it this goes on: given back to its queue the
    /// message would be run again, and what is kept may have been half done.
    ///
    /// # Cancel safety
    /// Dropped, the message may have been kept; its delivery is not acknowledged yet.
    pub(crate) async fn keep(&self, message: Message, answer: &Answer) {
        let (reason, text) = match answer.as_fault() {
            Some(fault) => (fault.code.as_str(), fault.message.as_str()),
            None => (
                "handler",
                "the handler returned an error, and nobody waits for it",
            ),
        };
        let letter = self.letter(message, reason, text);
        while !self.put(&letter).await {
            sleep(TRY_AGAIN).await;
        }
    }

    fn letter(&self, mut message: Message, reason: &str, text: &str) -> Message {
        message.exchange = String::new();
        message.routing_key = self.queue.name.clone();
        let properties = &mut message.properties;
        properties.expiration = None;
        properties.persistent = true;
        // Moved back as it is, it is to be handled, not to be late or to be taken for a copy; and
        // it may have been a letter before.
        properties.headers.retain(|(name, _)| {
            !matches!(
                name.as_str(),
                headers::DEADLINE
                    | headers::REPEATED
                    | headers::DEAD_REASON
                    | headers::DEAD_MESSAGE
                    | headers::DEAD_QUEUE
            ) && !self.secret.contains(name)
        });
        // The same text by any other name is a line to log, so it is one.
        let text: String = text.chars().filter(|c| !c.is_control()).take(512).collect();
        for (name, value) in [
            (headers::DEAD_REASON, reason),
            (headers::DEAD_MESSAGE, &text),
            (headers::DEAD_QUEUE, &self.of),
        ] {
            properties.headers.push((name.to_owned(), value.to_owned()));
        }
        message
    }

    /// Publishes a letter; `false` if the broker does not take it now.
    async fn put(&self, letter: &Message) -> bool {
        for _ in 0..2 {
            // A deadline would be the letter's own: it would expire in its queue.
            let mut receipt = self.transport.publish(Outgoing::new(letter.clone()));
            let verdict = match timeout(CONFIRM_TIMEOUT * 2, receipt.verdict()).await {
                Ok(verdict) => verdict,
                Err(_) if receipt.withdraw() == Withdrawn::Surely => Verdict::NotWritten,
                // Written: the publisher says so when it is lost. Until then the broker has it, or
                // blocks us, and a second letter would be one too many.
                Err(_) => receipt.verdict().await,
            };
            match verdict {
                Verdict::Confirmed => {
                    metrics::counter!("replybus_dead_letters_total", "queue" => self.of.clone())
                        .increment(1);
                    return true;
                }
                Verdict::Unroutable => {
                    // Somebody deleted it.
                    if let Err(error) = self.transport.declare(self.queue.clone()).await {
                        tracing::error!(queue = self.queue.name, %error, "can't declare the queue of dead letters");
                        return false;
                    }
                }
                Verdict::Lost => {}
                verdict @ (Verdict::Refused | Verdict::Busy | Verdict::NotWritten) => {
                    tracing::error!(
                        queue = self.queue.name,
                        ?verdict,
                        "a dead letter was not kept"
                    );
                    return false;
                }
            }
        }
        false
    }
}
