//! Dead letters: messages that could not be handled, kept in a queue of their own with the reason.
//!
//! They are published there by us, with a confirm, before the delivery is acknowledged. A
//! dead-letter exchange on the queue would also take every message that expires, and unless it is
//! a quorum queue it would promise nothing.

mod drops;
mod letter;

pub(crate) use drops::Drops;

use self::letter::Letter;
use super::Answer;
use crate::{
    bus::BusInner,
    error::SetupError,
    limits::{
        CONFIRM_TIMEOUT, DEAD_LETTER_WITHIN, DEAD_LETTERS_BYTES_MAX, DEAD_LETTERS_MAX, RETURNS_MAX,
    },
    message::Message,
    partition::partition_queue,
    trace,
    transport::{Outgoing, QueueSpec, Transport, TransportHealth, Verdict, Withdrawn},
};
use metrics::Counter;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// Pause before a letter is put again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The time for a confirm once letters are being dropped: what does not keep them is not waited for
/// with each of them.
const CONFIRM_SOON: Duration = Duration::from_secs(1);

/// The queue of a queue's dead letters.
pub(crate) fn dead_letter_queue(of: &str) -> String {
    format!("{of}.dead")
}

/// Why a message becomes a dead letter, and what those who put it back have to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cause<'a> {
    pub(crate) answer: &'a Answer,
    /// The time since the Unix epoch until which a copy of it is recognised and not run, if what it
    /// did was done; `None` if nothing has to recognise it.
    pub(crate) known_until: Option<Duration>,
    /// How often it was begun, if that is known.
    pub(crate) attempts: Option<u32>,
    /// Parts of it can't be read.
    pub(crate) malformed: bool,
    /// The partition it came by, if it came by one.
    pub(crate) partition: Option<u16>,
}

/// The dead letters of one queue.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetters {
    transport: Arc<dyn Transport>,
    drops: Drops,
    queue: QueueSpec,
    of: String,
    /// Names of headers that are left out.
    secret: Arc<[String]>,
}

impl DeadLetters {
    /// Declares the queue `{of}.dead`, of the same kind. One that exists is used as it is: a limit
    /// that was another once is no reason not to serve.
    pub(crate) async fn declare(bus: &BusInner, of: &QueueSpec) -> Result<Self, SetupError> {
        let queue = QueueSpec::new(dead_letter_queue(&of.name))
            .queue_type(of.queue_type)
            .length_max(DEAD_LETTERS_MAX)
            .bytes_max(DEAD_LETTERS_BYTES_MAX)
            .returns_max(RETURNS_MAX)
            .or_existing();
        bus.transport.declare(queue.clone()).await?;
        let letters = Self {
            transport: Arc::clone(&bus.transport),
            drops: bus.drops.clone(),
            queue,
            of: of.name.clone(),
            secret: Arc::default(),
        };
        // So that the first letter is an increase.
        letters.kept().increment(0);
        letters.dropped().increment(0);
        Ok(letters)
    }

    fn kept(&self) -> Counter {
        metrics::counter!("replybus_dead_letters_total", "queue" => self.of.clone())
    }

    fn dropped(&self) -> Counter {
        metrics::counter!("replybus_dead_letters_dropped_total", "queue" => self.of.clone())
    }

    /// Leaves out headers: a letter is kept for long, and read by others than its receiver.
    pub(crate) fn without(mut self, secret: Vec<String>) -> Self {
        self.secret = secret.into();
        self
    }

    /// Keeps a message, or drops it if that can't be done. Returns whether it is kept.
    ///
    /// Given back to its queue the message would be run again, and what is kept may have been half
    /// done; held for ever it would take a place from those that can be handled. So a letter that a
    /// full queue refuses is put shorter, and dropped if that does not help. One that is not taken
    /// for another reason is put again, for [`DEAD_LETTER_WITHIN`] of a broker that is up, and for
    /// as long as it is not.
    ///
    /// # Cancel safety
    /// Dropped, the message may have been kept; its delivery is not acknowledged yet.
    pub(crate) async fn keep(&self, message: Message, cause: &Cause<'_>) -> bool {
        let mut letter = Letter::new(message, &self.queue.name, &self.secret);
        let reason = match cause.partition {
            Some(partition) => letter.give_reason(cause, &partition_queue(&self.of, partition)),
            None => letter.give_reason(cause, &self.of),
        };
        let mut span = trace::keeping(&self.queue.name, reason);
        let mut tried = Duration::ZERO;
        let why = loop {
            let since = Instant::now();
            let dropped = self.drops.count(&self.queue.name);
            let verdict = self.put(&letter).await;
            match &verdict {
                Verdict::Confirmed => {
                    self.drops.taken(&self.queue.name, dropped);
                    self.kept().increment(1);
                    return true;
                }
                Verdict::Refused | Verdict::Unacceptable(_) if letter.shorten() => continue,
                Verdict::Refused => break "the queue is full",
                Verdict::Unacceptable(_) => break "it is too large for the broker",
                _ if self.transport.health() != TransportHealth::Up => {}
                _ => {
                    tried += since.elapsed() + TRY_AGAIN;
                    // By now it is the letter that is suspected.
                    let suspected = tried >= DEAD_LETTER_WITHIN / 2;
                    if self.drops.has(&self.queue.name) || tried >= DEAD_LETTER_WITHIN {
                        break "the broker does not take them";
                    }
                    if suspected {
                        letter.shorten();
                    }
                }
            }
            tracing::warn!(
                queue = self.queue.name,
                ?verdict,
                "a dead letter is put again"
            );
            sleep(TRY_AGAIN).await;
        };
        let id = letter.id();
        let queue = &self.queue.name;
        tracing::error!(queue, id, reason, why, "a dead letter was dropped");
        self.dropped().increment(1);
        span.fail("dropped");
        self.drops.note(&self.transport, queue, why);
        false
    }

    /// Publishes a letter.
    async fn put(&self, letter: &Letter) -> Verdict {
        let within = if self.drops.has(&self.queue.name) {
            CONFIRM_SOON
        } else {
            CONFIRM_TIMEOUT * 2
        };
        let mut verdict = Verdict::Lost;
        for _ in 0..2 {
            // A deadline would be the letter's own: it would expire in its queue.
            let mut receipt = self
                .transport
                .publish(Outgoing::new(letter.message().clone()));
            verdict = match timeout(within, receipt.verdict()).await {
                Ok(verdict) => verdict,
                Err(_) if receipt.withdraw() == Withdrawn::Surely => Verdict::NotWritten,
                Err(_) if within == CONFIRM_SOON => Verdict::Lost,
                // Written: the publisher says so when it is lost. Until then the broker has it, or
                // blocks us, and a second letter would be one too many.
                Err(_) => receipt.verdict().await,
            };
            match &verdict {
                Verdict::Unroutable => {
                    // Somebody deleted it.
                    if let Err(error) = self.transport.declare(self.queue.clone()).await {
                        let queue = &self.queue.name;
                        tracing::error!(queue, %error, "can't declare the queue of dead letters");
                        break;
                    }
                }
                Verdict::Lost => {}
                _ => break,
            }
        }
        verdict
    }
}
