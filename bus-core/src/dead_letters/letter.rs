//! One dead letter, read without trust: anybody who may write to its queue can have put it there.

use crate::{
    codec::{self, CodecError, ContentType},
    limits::RETRIES_MAX,
    message::Message,
    wire::headers,
};
use serde::de::DeserializeOwned;
use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A message that could not be handled, with the reason.
///
/// What it says of itself is the word of the service that kept it, and the rest that of the caller.
pub struct DeadLetter {
    message: Message,
    malformed: Option<String>,
}

impl DeadLetter {
    pub(super) fn read(message: Message, malformed: Option<String>) -> Self {
        let mut letter = Self { message, malformed };
        if letter.malformed.is_none() {
            letter.malformed = if letter.reason().is_empty() {
                let header = headers::DEAD_REASON;
                Some(format!("it has no header {header}, so no service kept it"))
            } else if letter.header(headers::DEAD_MALFORMED) == Some(headers::TRUE) {
                Some(letter.error().to_owned())
            } else {
                None
            };
        }
        letter
    }

    /// What is wrong with it, if it can't be read: it can be purged, and not be put back.
    #[must_use]
    pub fn malformed(&self) -> Option<&str> {
        self.malformed.as_deref()
    }

    /// The id of the call or event, if it has one: the name by which logs have it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        let properties = &self.message.properties;
        let id = properties.correlation_id.as_deref();
        id.or(properties.message_id.as_deref())
    }

    /// The method that was called, or the routing key of the event; empty if it names none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.message.properties.kind.as_deref().unwrap_or_default()
    }

    /// How the caller, or the emitter, named itself.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.message.properties.app_id.as_deref()
    }

    /// The arguments of the call by their names, or the event: any type that has those that matter,
    /// such as a `serde_json::Value`, which has all.
    ///
    /// ```
    /// # use replybus::dead_letters::DeadLetter;
    /// # fn show(letter: &DeadLetter) -> Result<(), replybus::codec::CodecError> {
    /// let arguments: serde_json::Value = letter.arguments()?;
    /// println!("{}: {arguments}", letter.name()); // withdraw: {"account":"ada","amount":70}
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Its encoding is not known, or it does not hold what is asked for.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        let named = self.message.properties.content_type.as_deref();
        codec::decode(ContentType::from_wire(named)?, &self.message.body)
    }

    /// The error by its [code](crate::error::FaultCode), such as `panicked`, or `handler` for an
    /// error of the handler's own; empty if it says none.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.header(headers::DEAD_REASON).unwrap_or_default()
    }

    /// The error in words.
    #[must_use]
    pub fn error(&self) -> &str {
        self.header(headers::DEAD_MESSAGE).unwrap_or_default()
    }

    /// When it became a letter, by the clock of the service.
    #[must_use]
    pub fn died_at(&self) -> Option<SystemTime> {
        self.time(headers::DEAD_AT).map(at)
    }

    /// When it was sent, by the clock of its sender. Calls whose replies were awaited don't say.
    #[must_use]
    pub fn sent_at(&self) -> Option<SystemTime> {
        let seconds = self.message.properties.timestamp?;
        Some(at(Duration::from_secs(seconds)))
    }

    /// `false` if the handler surely did not run. Of a letter that does not say so it is not known.
    #[must_use]
    pub fn may_have_executed(&self) -> bool {
        self.header(headers::DEAD_EXECUTED) != Some("false")
    }

    /// Until when a copy of it is recognised by the service, which then answers with what it did
    /// and does not do it again; `None` if nothing has to be recognised, as of a query, or the
    /// letter does not say.
    #[must_use]
    pub fn known_until(&self) -> Option<SystemTime> {
        self.time(headers::DEAD_KNOWN_UNTIL).map(at)
    }

    /// How often its handler was begun, if that is known: it is of commands and events, and of what
    /// was delivered again.
    #[must_use]
    pub fn attempts(&self) -> Option<u32> {
        self.header(headers::DEAD_ATTEMPTS)?.parse().ok()
    }

    /// The errors of its runs, first to last, if its handler
    /// [put it off](crate::RetryLater): in words, or as JSON, each up to
    /// [`RETRY_ERROR_BYTES_MAX`](crate::limits::RETRY_ERROR_BYTES_MAX).
    ///
    /// ```
    /// # fn show(letter: &replybus::dead_letters::DeadLetter) {
    /// for (number, error) in letter.retry_errors().enumerate() {
    ///     println!("run {}: {error}", number + 1);
    /// }
    /// # }
    /// ```
    pub fn retry_errors(&self) -> impl Iterator<Item = &str> {
        (1..=RETRIES_MAX + 1).map_while(|run| self.header(&headers::retry_error(run)))
    }

    /// How often it was put back before.
    #[must_use]
    pub fn redriven(&self) -> u32 {
        let count = self.header(headers::DEAD_REDRIVEN);
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// What of the message is missing, if it was too large to be kept whole.
    #[must_use]
    pub fn shortened(&self) -> Option<&str> {
        self.header(headers::DEAD_SHORTENED)
    }

    /// The whole of it: properties, headers and body.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Bytes that it takes in memory, more or less.
    pub(super) fn bytes(&self) -> usize {
        self.message.body.len() + self.message.properties.headers_bytes()
    }

    /// When its fate is forgotten, since the Unix epoch: `Some` if it may have been done. Zero if it
    /// says nothing of that, as letters of services before this one.
    pub(super) fn forgotten_at(&self) -> Option<Duration> {
        if !self.may_have_executed() {
            return None;
        }
        match self.time(headers::DEAD_AT) {
            Some(_) => self
                .header(headers::DEAD_KNOWN_UNTIL)
                .map(|_| self.time(headers::DEAD_KNOWN_UNTIL).unwrap_or_default()),
            None => Some(Duration::ZERO),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.message.properties.header(name)
    }

    /// The time since the Unix epoch that a header has in milliseconds.
    fn time(&self, name: &str) -> Option<Duration> {
        self.header(name)?.parse().ok().map(Duration::from_millis)
    }
}

/// That long after the Unix epoch; a time that no clock can show is the epoch.
fn at(since: Duration) -> SystemTime {
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

// Without values: arguments and headers can hold a secret.
impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("reason", &self.reason())
            .field("malformed", &self.malformed)
            .finish_non_exhaustive()
    }
}
