//! The AMQP headers with a meaning of their own.

/// The moment at which the caller stops waiting, in milliseconds since the Unix epoch. Absent on
/// one-way and submitted calls.
pub(crate) const DEADLINE: &str = "deadline";
/// On a call that was delayed: the moment at which it was due, in milliseconds since the Unix
/// epoch. Its [`DEADLINE`] is then when it is no longer to be started. Named so that older services
/// take it for the broker's, and for nobody's metadata.
pub(crate) const DUE: &str = "x-replybus-due";
/// On the message of a job that was started, and comes back to be looked after: the boolean
/// [`TRUE`]. Named as [`DUE`] is.
pub(crate) const JOB_STARTED: &str = "x-replybus-job-started";
/// On the message of a job that was started, and whose record was not there when it was looked after:
/// the boolean [`TRUE`]. Named as [`DUE`] is.
pub(crate) const JOB_MISSED: &str = "x-replybus-job-missed";
/// On the message of a job that was started, of a service that believes signed requests only: the
/// service's own word for all that it added of the job. Named as [`DUE`] is.
#[cfg(feature = "signed")]
pub(crate) const JOB_SIGNATURE: &str = "x-replybus-job-signature";
/// On the request of a stream: the bytes of items that its producer may be ahead of its reader. Named
/// as [`DUE`] is.
pub(crate) const STREAM: &str = "x-replybus-stream";
/// On a command that was put aside for its next run: how often it was run. Named as [`DUE`] is.
pub(crate) const RETRIES: &str = "x-replybus-retries";
/// The same, of what each run failed: with the number of the run behind it.
const RETRY_ERROR: &str = "x-replybus-retry-error-";
/// On a call of a contract with partitions: the hash of its key, and by how many partitions it is
/// divided. Named as [`DUE`] is.
pub(crate) const PARTITION: &str = "x-replybus-partition";
/// Who made a request: the version, the name of a key, the times between which it may be started, and
/// the signature. Named as [`DUE`] is.
#[cfg(feature = "signed")]
pub(crate) const SIGNATURE: &str = "x-replybus-signature";
/// Names the effect, so that it happens once.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// W3C Trace Context, section 3.2.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// W3C Trace Context, section 3.3.
pub(crate) const TRACESTATE: &str = "tracestate";
/// On a request that came in a bundle: its trace begins with it, and is not recorded; the text
/// [`TRUE`]. Takes the place of [`TRACEPARENT`], which would say the same. Named as [`DUE`] is.
pub(crate) const UNRECORDED: &str = "x-replybus-unrecorded";
/// W3C Baggage, section 3.2.
pub(crate) const BAGGAGE: &str = "baggage";
/// On a request that is sent again under the same id, while an earlier copy may have reached the
/// broker: the boolean [`TRUE`].
pub(crate) const REPEATED: &str = "repeated";
/// A boolean as [`Properties`](crate::message::Properties) hold it.
pub(crate) const TRUE: &str = "true";
/// On a dead letter: the code of the fault.
pub(crate) const DEAD_REASON: &str = "dead-letter-reason";
/// On a dead letter: the fault in words.
pub(crate) const DEAD_MESSAGE: &str = "dead-letter-message";
/// On a dead letter: the queue it came from.
pub(crate) const DEAD_QUEUE: &str = "dead-letter-queue";

/// On a dead letter: when it became one, in milliseconds since the Unix epoch.
pub(crate) const DEAD_AT: &str = "dead-letter-at";
/// On a dead letter: whether a handler may have run, a boolean.
pub(crate) const DEAD_EXECUTED: &str = "dead-letter-may-have-executed";
/// On a dead letter: until when a copy of it is recognised if it has to be, in milliseconds since
/// the Unix epoch.
pub(crate) const DEAD_KNOWN_UNTIL: &str = "dead-letter-known-until";
/// On a dead letter: how often it was begun, if that is known.
pub(crate) const DEAD_ATTEMPTS: &str = "dead-letter-attempts";
/// On a dead letter whose message can't be read: the boolean [`TRUE`].
pub(crate) const DEAD_MALFORMED: &str = "dead-letter-malformed";
/// On a message out of the dead letters: how often it was put back.
pub(crate) const DEAD_REDRIVEN: &str = "dead-letter-redriven";
/// On a dead letter: what of the message is missing.
pub(crate) const DEAD_SHORTENED: &str = "dead-letter-shortened";
/// On a dead letter: the user of the broker that published the message.
pub(crate) const DEAD_USER: &str = "dead-letter-user-id";
/// Further routing keys of a message, which RabbitMQ sends copies to.
pub(crate) const CC: &str = "CC";
/// As [`CC`].
pub(crate) const BCC: &str = "BCC";
/// On a dead letter: the [`CC`] of the message.
pub(crate) const DEAD_CC: &str = "dead-letter-cc";
/// On a dead letter: the [`BCC`] of the message.
pub(crate) const DEAD_BCC: &str = "dead-letter-bcc";

/// The name of the header that says of what a run failed.
pub(crate) fn retry_error(run: u32) -> String {
    format!("{RETRY_ERROR}{run}")
}

/// True if a header is about the runs before the next one.
pub(crate) fn is_of_retries(name: &str) -> bool {
    name == RETRIES || name.starts_with(RETRY_ERROR)
}

/// True if a header is what a service adds to the message of a job.
pub(crate) fn is_of_jobs(name: &str) -> bool {
    name.starts_with("x-replybus-job-")
}

/// True if a header says why a message is a dead letter, and is no part of that message.
pub(crate) fn is_of_the_letter(name: &str) -> bool {
    matches!(
        name,
        DEAD_REASON
            | DEAD_MESSAGE
            | DEAD_QUEUE
            | DEAD_AT
            | DEAD_EXECUTED
            | DEAD_KNOWN_UNTIL
            | DEAD_ATTEMPTS
            | DEAD_MALFORMED
            | DEAD_SHORTENED
    )
}

/// True if the protocol gives a header of a request a meaning.
pub(crate) fn has_meaning(name: &str) -> bool {
    matches!(
        name,
        DEADLINE
            | DUE
            | IDEMPOTENCY_KEY
            | JOB_STARTED
            | JOB_MISSED
            | TRACEPARENT
            | TRACESTATE
            | BAGGAGE
            | REPEATED
    )
}

/// True if a header is a boolean, [`TRUE`] or not.
#[cfg(feature = "amqp")]
pub(crate) fn is_boolean(name: &str) -> bool {
    matches!(name, REPEATED | JOB_STARTED | JOB_MISSED)
}

/// What RabbitMQ adds to all messages if it is told to (`message_interceptors.incoming`), beside
/// `x-routed-by`.
const BROKER_TIME: &str = "timestamp_in_ms";

/// True if a header is ours or the broker's (`x-death`, ...), and so none of the user's metadata.
pub(crate) fn is_reserved(name: &str) -> bool {
    has_meaning(name)
        || name.starts_with("x-")
        || name.starts_with("dead-letter-")
        || name == BROKER_TIME
}
