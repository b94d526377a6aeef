//! The bounds and defaults of calls and services in one place, with their units and the reasons
//! for their values. Those of the connections to Redis are in the crate `replybus-redis`.
//!
//! Those that a user may change have a setting named beside them; the rest is fixed so that both
//! ends agree.

use std::time::Duration;

/// Time given to a call that names none. Long enough for a slow handler, short enough that a person
/// who waits for it still does. Set by `timeout = ".."` or `.timeout(..)`.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The most time a call may be given: RabbitMQ closes a channel whose delivery is unsettled for
/// 30 minutes (`consumer_timeout`), so a handler must be done well before.
pub const CALL_TIMEOUT_MAX: Duration = Duration::from_secs(20 * 60);

/// Bytes of an encoded request. MessagePack can unfold to 50 times its size in memory, and a
/// server holds `prefetch` of them: 256 KiB keeps that under 13 MB each.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;

/// Bytes of an encoded reply, framing included. Larger answers are refused on the serving side.
pub const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// Nested values in a body. rmp-serde's own 1024 overflows a 2 MiB stack in a debug build.
pub const NESTING_DEPTH_MAX: usize = 64;

/// Tables and arrays in each other among a message's headers, the table of the headers counted. A
/// few are in use (`x-death` of RabbitMQ: 3); lapin's parser takes about 2 KiB of a 2 MiB stack for
/// each in a debug build.
pub const HEADER_DEPTH_MAX: usize = 32;

/// Handlers of one service that run at once in one process. Set by `concurrency = ..`.
pub const CONCURRENCY: u16 = 32;

/// Deliveries a consumer holds. Room for those whose acks are on their way: of 32, 64, 128 and 256
/// whole calls were served fastest with 128, and no faster with 256. Set by `prefetch = ..`.
pub const PREFETCH: u16 = 128;

/// Most handlers or deliveries one service may ask for.
pub const PREFETCH_MAX: u16 = 4096;

/// Partitions of one contract. Each is a queue on the broker, and a channel of each process that
/// serves it, of which RabbitMQ allows a connection 2,047; a process holds a prefetch of each.
pub const PARTITIONS_MAX: u16 = 256;

/// The time between two looks at who serves a contract with partitions, by which its instances share
/// them: as often as they say that they live. One read of the store for each.
pub const MEMBERS_LOOKED_AT_EVERY: Duration = Duration::from_secs(2);

/// The time after which an instance may hand over the same partition again: longer than the views of
/// two instances differ, so that a partition does not go back and forth between them.
pub const HAND_OVER_EVERY: Duration = Duration::from_secs(5);

const _: () = assert!(HAND_OVER_EVERY.as_secs() > 2 * MEMBERS_LOOKED_AT_EVERY.as_secs());

/// Publishes that may wait or be unconfirmed in one process. Beyond it calls are refused as busy:
/// lapin queues frames without a bound, so ours is the only one.
pub const UNCONFIRMED_MAX: usize = 8192;

/// Calls of one process that may wait for a reply. A store keeps twice as many replies of one
/// process, so that none is dropped unread.
pub const WAITING_MAX: usize = 32_768;

/// Calls that [`join`](crate::join) has under way at a time. So large that they leave in bundles, and
/// that more gain nothing (of 8,192 queries as many a second were answered with 4,096); a sixteenth
/// of [`WAITING_MAX`] and a quarter of [`UNCONFIRMED_MAX`], to leave room for others.
pub const JOINED_AT_ONCE: usize = 2048;

/// Requests that leave as one message. Of 4, 8, 16, 32 and 64 whole calls were served 1.4, 1.7, 1.8,
/// 1.8 and 2.0 times as fast as by hand at 64 callers; a worker runs them at once, so more are no
/// use to callers that wait for the slowest of one delivery to be settled.
pub const BUNDLE_ENTRIES_MAX: usize = 16;

/// Requests that are read out of one message: room for callers that put more into one.
pub const BUNDLE_ENTRIES_READ_MAX: usize = 64;

/// Bytes of the requests that leave as one message. A quarter of what one request may have, so that
/// a consumer that holds [`PREFETCH`] of them holds less than of single ones.
pub const BUNDLE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a request that leaves together with others. What a larger one costs is its bytes, which
/// a bundle does not spare.
pub const BUNDLE_ENTRY_BYTES_MAX: usize = 16 * 1024;

/// The time that the handlers of one bundle take together, as they were last measured. One worker
/// gets them all, while others may have nothing to do: a call waits this much for its neighbours at
/// most, if they compute, where it could have been run elsewhere.
pub const BUNDLE_WORK_MAX: Duration = Duration::from_millis(1);

/// The time for which a caller sends single messages to a queue after it learned that not everybody
/// who serves it takes bundles: the old workers of a deployment are gone soon after.
pub const BUNDLES_STOPPED_FOR: Duration = Duration::from_secs(60);

/// Cancelled calls to one queue that wait to be said so to those who serve it. One that would be
/// more runs to its end.
pub const CANCELS_WAITING_MAX: usize = 10_000;

/// Calls that one message cancels; 20 bytes each.
pub const CANCELS_IN_ONE_MAX: usize = 1_000;

/// Cancelled calls that a service remembers, each until its deadline, so that it starts none of
/// those that are still to come; beyond it the first is forgotten. About 2 MiB.
pub const CANCELS_KEPT_MAX: usize = 20_000;

/// Messages that wait for a service on its control line; further ones are lost.
pub const CONTROL_MESSAGES_MAX: u32 = 10_000;

/// Messages of the control line that are delivered before the first is acknowledged.
pub const CONTROL_PREFETCH: u16 = 64;

/// The time for which the control queue of a service is kept while nobody consumes it: long enough
/// for a lost connection to come back, after which that of a service that died is gone.
pub const CONTROL_QUEUE_EXPIRES: Duration = Duration::from_secs(60);

/// The time that the answers of instances are waited for: they take milliseconds, unless one is
/// busy. Set by `.within(..)`.
pub const CONTROL_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Bytes of the body of a question over the control line. What is larger is not read.
pub const CONTROL_REQUEST_BYTES_MAX: usize = 1024;

/// Bytes of the document of a contract that an instance tells: as many as a reply has, less what is
/// around it, in JSON up to twice as much for what it escapes. A method takes about 1 KiB.
pub const CONTRACT_ANSWER_BYTES_MAX: usize = REPLY_BYTES_MAX / 2;

/// Jobs of which an instance tells whoever asks, the oldest first.
pub const JOBS_TOLD_MAX: usize = 256;

/// Questions that an instance answers in a second; it passes over the others. Many programs that
/// watch it, and nothing beside what it serves.
pub const CONTROL_ANSWERS_PER_SECOND: u32 = 100;

/// Questions that an instance is answering, those included that wait until it is drained.
pub const CONTROL_ANSWERS_AT_ONCE: usize = 64;

/// Questions that one bus gathers the answers of at a time, and queues that it watches.
pub const GATHERINGS_MAX: usize = 64;

/// The time for which an instance reports its calls to whoever [watches](crate::control::Control::watch)
/// it without being asked again; asked it is three times as often. What a watcher costs that died.
pub const WATCH_LEASE: Duration = Duration::from_secs(6);

/// Watchers that an instance reports to at a time; further ones hear nothing of it. A call that one of
/// them wants to know of costs the instance a lock and a copy of what is said of it.
pub const WATCHES_MAX: usize = 8;

/// Calls that an instance reports to one watcher in a second: more than anybody reads. Set by
/// `.per_second(..)`.
pub const WATCHED_PER_SECOND: u32 = 100;

/// The most that this may be set to: five reports a second of [`WATCHED_IN_ONE_MAX`], for a program.
pub const WATCHED_PER_SECOND_MAX: u32 = 1_000;

/// Calls in one report, which are all that an instance keeps for a watcher: 50 KB, or 150 if callers
/// have the longest names.
pub const WATCHED_IN_ONE_MAX: usize = 250;

/// The time after which a call without a reply has it looked whether anybody serves its queue. What
/// is served is mostly answered by then, and pays nothing.
pub const CONSUMER_LOOK_AFTER: Duration = Duration::from_millis(20);

/// The time for which it counts that somebody serves a queue, or answered from it: calls that wait
/// for long have it looked once in it, all those of a process to one queue together.
pub const CONSUMER_LOOK_EVERY: Duration = Duration::from_secs(1);

/// The time between two looks at a queue that nobody serves: each is a channel that is opened, and
/// closed.
pub const CONSUMER_LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Calls to one queue that are noted as given up because nobody serves it, each until its time is
/// over: as many as whoever begins to serve it remembers ([`CANCELS_KEPT_MAX`]). Of one that would
/// be more it is not said that it will not run.
pub const GIVEN_UP_MAX: usize = CANCELS_KEPT_MAX;

/// The time after its last announcement for which an instance counts as serving. It is announced
/// every third of it, less up to a quarter of that, so two may be lost; each is a round trip to the
/// reply store. In a store within one process, where none dies alone, it is a day.
pub const PRESENCE_TTL: Duration = Duration::from_secs(6);

/// The time for which a queue is listed after its last instance was lost without a word: until whoever
/// looks after it is back at work.
pub const SERVICE_REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of the record of an instance. What is larger is not read; methods that would make it larger
/// are not written.
pub const PRESENCE_RECORD_BYTES_MAX: usize = 32 * 1024;

/// Instances of one queue that are listed.
pub const INSTANCES_LISTED_MAX: usize = 1000;

/// Queues that are served, listed at a time: a screen to look through, and a second for Redis.
pub const SERVICES_LISTED_MAX: usize = 1000;

/// Instances in such a list, of all queues: their records may take 320 MB, and take 5.
pub const SERVICES_INSTANCES_MAX: usize = 10_000;

/// Messages that wait for one queue and are [listed](crate::Bus::delayed); further ones are not noted
/// until there is room. A list of them has 10 MB at most, and 2 as they are.
pub const DELAYED_LISTED_MAX: usize = 10_000;

/// Bytes of the note of one such message. What is larger is not written and not read.
pub const DELAYED_RECORD_BYTES_MAX: usize = 1024;

/// Notes of such messages that one process writes at a time; while Redis takes none further ones are
/// left out.
pub const DELAYED_NOTED_AT_ONCE: usize = 256;

/// The time for which such a message is not noted once its note was forgotten: whoever delayed it may
/// still be writing it, for a second at most.
pub const DELAYED_FORGOTTEN_FOR: Duration = Duration::from_secs(2);

/// Contracts that one process [learns](crate::contract::LearnedContract): they are kept for as long as
/// it lives, and each is a label of metrics.
pub const LEARNED_CONTRACTS_MAX: usize = 1000;

/// Methods of such a contract, each a label as well.
pub const LEARNED_METHODS_MAX: usize = 1000;

/// Events that a [listener](crate::Bus::listen) holds until they are read; who is further behind
/// misses the oldest. Each may be as large as [`REQUEST_BYTES_MAX`].
pub const LISTENER_HELD_MAX: usize = 256;

/// The time after which RabbitMQ removes the queue of a listener whose process was killed.
pub const LISTENER_QUEUE_EXPIRES: Duration = Duration::from_secs(60);

/// Methods in the record of an instance.
pub const INSTANCE_METHODS_MAX: usize = 1000;

/// Bytes of each text in the record of an instance. As many as DNS allows the name of a host, and
/// AMQP that of a program.
pub const INSTANCE_TEXT_MAX: usize = 255;

/// The age of the youngest request of an interval that is a queue which is behind: many times what a
/// request waits where a burst is worked off, and little beside what callers wait.
pub const QUEUE_AGE_TARGET: Duration = Duration::from_millis(100);

/// The time for which the youngest request is looked for. A burst that is worked off in it is none
/// that has to be refused.
pub const QUEUE_AGE_INTERVAL: Duration = Duration::from_millis(100);

/// The longest time after which a caller that was refused for load is told to try again.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Bytes of items that the producer of a stream may be ahead of its reader: what both ends keep of it
/// at most, one item more. A credit is on its way for some milliseconds: at a million items of 100
/// bytes a second this is ten of them. Set by `.window_bytes(..)`.
pub const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// The most bytes that a reader may ask a producer to be ahead.
pub const STREAM_WINDOW_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Bytes of items that leave as one frame, if so many are ready together; the last of them may reach
/// beyond. Larger ones spare nothing: of 100 bytes these are more than 600.
pub const STREAM_FRAME_BYTES: usize = 64 * 1024;

/// Frames of one stream that may be in its reader's inbox. With as many of [`STREAMS_MAX`] streams
/// the inbox is half full, and the other half is for the replies to [`WAITING_MAX`] calls.
pub const STREAM_FRAMES_MAX: usize = 64;

/// Streams that one process reads at a time, answers and arguments together; and as many that its calls
/// send.
pub const STREAMS_MAX: usize = 512;

// None of them is trimmed unread: a store keeps twice as many replies as calls may wait.
const _: () = assert!(STREAMS_MAX * STREAM_FRAMES_MAX <= WAITING_MAX);

/// Streams that one service produces at a time, in one process. Each keeps a window at most.
pub const STREAMS_SERVED_MAX: usize = 1024;

/// The time after which a producer that has nothing to say says that it lives: so soon a reader also
/// learns that something it has not got was sent.
pub const STREAM_SIGN_EVERY: Duration = Duration::from_secs(2);

/// The time after which a reader that has nothing to say says that it lives.
pub const STREAM_CREDIT_EVERY: Duration = Duration::from_secs(5);

/// The time after which a reader that hears nothing asks for it again.
pub const STREAM_ASK_AFTER: Duration = Duration::from_secs(6);

/// The time for which a producer may not be heard, though it could be: while the reader's own connections
/// are away, or its process stands still, nothing counts, and once they are back it begins anew. Long
/// enough for the worker's to come back.
pub const STREAM_SILENCE_MAX: Duration = Duration::from_secs(20);

/// The time for which a reader may not be heard, though it could be, before its producer gives it up.
/// Longer than [`STREAM_SILENCE_MAX`]: of two that can't hear each other the reader, whom somebody
/// waits for, knows first.
pub const STREAM_READER_SILENCE_MAX: Duration = Duration::from_secs(30);

/// The difference between the clocks of caller and server before a live request counts as expired.
/// NTP keeps hosts within tens of milliseconds.
pub const CLOCK_ALLOWANCE: Duration = Duration::from_millis(500);

/// The time in which a reply to a submitted call can be fetched after the handler finished.
pub const REPLY_TTL: Duration = Duration::from_secs(10 * 60);

/// The time for which the outcome of a command with an idempotency key is remembered. Stripe keeps
/// keys at least as long.
pub const KEYED_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// The time for which the outcome of a command without a key and without a deadline is remembered:
/// it can only come again by redelivery, within the longest call and the time a lost worker's lease
/// takes to lapse.
pub const UNKEYED_RETENTION: Duration = Duration::from_secs(30 * 60);

/// The time for which the outcome of a command without a key is remembered beyond its deadline.
/// Nothing comes of it after that: a claim that is asked for later, and of which nothing is known,
/// is not given. So no copy that was held up, however long, is run because its record is gone.
///
/// The time by which clocks may differ between callers and the store before a live command is
/// called expired: many times what NTP allows. The record of each command takes room for as long.
pub const DEADLINE_RETENTION: Duration = Duration::from_secs(2 * 60);

/// The time for which a running command is protected from being run by another worker without a
/// sign of life. Renewed three times as often.
///
/// Shorter than [`CALL_TIMEOUT`], so that by default the command of a worker that died is run again
/// while its caller still waits: killed workers' commands were answered 3.0 to 3.7 s later. Long
/// against what delays a renewal: 0.5 s at most on two processors that 512 callers and a compiler
/// kept busy. A process that stands still for longer finds its command run by another, if there is
/// a second delivery or copy of it; what it has itself the broker delivers again after twice the
/// [`HEARTBEAT`], which no lease that fits the timeout outlasts.
pub const CLAIM_LEASE: Duration = Duration::from_secs(3);

// A worker that died in the first third of its lease leaves time for another run.
const _: () = assert!(CLAIM_LEASE.as_millis() * 3 / 2 < CALL_TIMEOUT.as_millis());

/// The most time a job may be given: `job = ".."`. A week, for what is left to run over a weekend;
/// what takes longer is better cut into parts that are each done.
pub const JOB_TIMEOUT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The time for which the message of a job that runs stays with its worker. After that the broker
/// has it again as a message that waits, and the worker's is settled: far below the 30 minutes after
/// which RabbitMQ takes it away, and so long that a job that is done soon costs no second message.
pub const JOB_HELD_FOR: Duration = Duration::from_secs(10);

/// The time after which the message of a job that runs comes back, so that somebody looks whether
/// its worker lives. Another may begin this much later, and the [`CLAIM_LEASE`], than it died; a job
/// that runs costs a message and a look at its record each time.
pub const JOB_LOOKED_AT_EVERY: Duration = Duration::from_secs(10);

// A worker that lives has told a store without data of its job, before that is looked at again.
const _: () = assert!(JOB_LOOKED_AT_EVERY.as_millis() > CLAIM_LEASE.as_millis());

/// The time for which a delivery of a service with jobs waits here for a handler to be free, before
/// it waits with the broker instead: all of them may be busy for hours, and RabbitMQ takes back what
/// is unsettled for 30 minutes, along with the channel.
pub const SLOT_AWAITED_FOR: Duration = Duration::from_secs(10 * 60);

/// The time between two notes of how far a job is, and between two looks at them: what comes in
/// between is not written, but for the last.
pub const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Bytes of the text in a note of how far a job is; the rest is cut off. It is kept in the record
/// of the job, and written over and over.
pub const PROGRESS_NOTE_BYTES_MAX: usize = 256;

/// Runs of one message, counting those whose process died, before it is given up and dead-lettered:
/// commands and events under their claims, all else by its deliveries.
pub const ATTEMPTS_MAX: u32 = 5;

/// The time for which deliveries that were begun and never ended are remembered: as long as a
/// one-way call may wait for the next worker ([`SEND_TTL`]).
pub const REDELIVERY_RETENTION: Duration = SEND_TTL;

/// The time a one-way or submitted call waits to be started before it expires. Set by
/// `.timeout(..)`.
pub const SEND_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest delay of a call or an event: until the same day of the next year, leap years
/// included. The 25 queues through which a broker's delays go would reach 22 days further.
pub const DELAY_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Runs of a command after the first, while its handler puts it off. Set by `retry(max = ..)`.
pub const RETRIES: u32 = 5;

/// Most runs after the first. The errors of all of them travel in the message, and are little more
/// than a third of what headers of a [dead letter](DEAD_LETTER_HEADERS_MAX) may have. With pauses of a
/// day they last for weeks.
pub const RETRIES_MAX: u32 = 20;

/// The pause before the second run of a command that was put off; each further one is twice as long.
/// Set by `retry(base = ..)`.
pub const RETRY_BASE: Duration = Duration::from_millis(200);

/// The longest pause between two runs of a command that was put off. Set by `retry(max_delay = ..)`.
pub const RETRY_DELAY: Duration = Duration::from_secs(60);

/// The longest that such a pause may be made.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A pause up to this is waited for in the worker, where the command keeps its claim and its place
/// among those that run; for a longer one it waits on the broker. That counts in whole seconds, and
/// costs a message through a quorum queue or more; this is as long as the shortest such wait.
pub const RETRY_HELD_MAX: Duration = Duration::from_secs(1);

/// Bytes of the error of one run of a command that was put off, as its message carries them.
pub const RETRY_ERROR_BYTES_MAX: usize = 256;

/// The time after which a tick of a schedule that was not begun counts as missed: what a deploy or a
/// worker that died takes is less.
pub const TICK_LATE_AFTER: Duration = Duration::from_secs(60);

/// Missed ticks of a schedule that are run, the last ones: each looks back over those between, so that
/// this many take a few seconds of processor time.
pub const TICKS_MISSED_MAX: u32 = 1_000;

/// Attempts after the first of a call within a [`RetryLayer`](crate::client::RetryLayer). Set by
/// `.max(..)`.
pub const CALL_RETRIES: u32 = 3;

/// The longest first pause of such a call: a few times what a call takes, so that what was refused
/// for load finds some of it gone. Set by `.base(..)`.
pub const CALL_RETRY_BASE: Duration = Duration::from_millis(100);

/// The longest of its pauses, a fifth of the [time](CALL_TIMEOUT) that it has. Set by
/// `.max_delay(..)`.
pub const CALL_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Failures in a row that open the circuit of a method, within a
/// [`BreakerLayer`](crate::client::BreakerLayer): no accident any more, and soon enough. Set by
/// `.failures(..)`.
pub const CIRCUIT_FAILURES: u32 = 5;

/// The time for which an open circuit refuses all calls: what a service takes to be started anew. Set
/// by `.open_for(..)`.
pub const CIRCUIT_OPEN_FOR: Duration = Duration::from_secs(60);

/// Answers in a row that close a circuit which is half open. Set by `.successes(..)`.
pub const CIRCUIT_SUCCESSES: u32 = 1;

/// Circuits that one layer keeps, of all methods on all queues: a queue for each of a thousand tenants,
/// with ten methods. Those beyond are not watched, and their calls pass.
pub const CIRCUITS_MAX: usize = 10_000;

/// The longest time for which an answer is kept for others: what is true for longer than a day is not
/// asked for often enough to matter.
pub const CACHE_TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of an answer that is kept for others: as many as a request has. Larger ones are sent, and
/// not kept.
pub const CACHE_ANSWER_BYTES_MAX: usize = REQUEST_BYTES_MAX;

/// Tags of a method's answers, and of what a command invalidates: each is looked at with the answer.
pub const CACHE_TAGS_MAX: usize = 16;

/// The time after which the turn to compute an answer goes to the next who waits for it, if whoever
/// has it is not heard of: it holds on to it three times in it.
pub const CACHE_LEASE: Duration = Duration::from_secs(1);

/// The time for which a query waits for the store before it goes on as if there were no cache. Redis
/// answers within a millisecond.
pub const CACHE_WITHIN: Duration = Duration::from_millis(250);

/// The time for which queries don't look for kept answers once the store did not answer or refused.
pub const CACHE_PAUSED_FOR: Duration = Duration::from_secs(1);

/// Pauses between two looks for an answer that another process computes: the first, about what a
/// query takes, and the longest.
pub const CACHE_LOOK_MIN: Duration = Duration::from_millis(5);
/// See [`CACHE_LOOK_MIN`].
pub const CACHE_LOOK_MAX: Duration = Duration::from_millis(200);

/// Further attempts that calls within a [`RetryLayer`](crate::client::RetryLayer) may have together,
/// for every hundred of them. So callers make an overloaded service a tenth more work, and not four
/// times as much. Set by [`RetryBudget::with_percent`](crate::client::RetryBudget::with_percent).
pub const RETRY_BUDGET_PERCENT: u32 = 10;

/// Further attempts that there are before the first call: a program that makes few calls has some.
pub const RETRY_BUDGET_RESERVE: u32 = 10;

/// Further attempts that are saved up: what a thousand calls leave. More would be a burst at the
/// beginning of an outage.
pub const RETRY_BUDGET_SAVED_MAX: u32 = 100;

/// The time for which a broker that is away is waited for with a command that is to be put aside.
/// Then its error is the answer, as when no run is left.
pub const RETRY_ASIDE_WITHIN: Duration = Duration::from_secs(60);

/// The time after which a delayed message is offered again to a queue that did not take it when it
/// was due: it was full, or removed. RabbitMQ's own, between two attempts of a dead-lettering that
/// it guarantees.
pub const DELAYED_AGAIN_AFTER: Duration = Duration::from_secs(3 * 60);

/// The time a publisher waits for the broker's word before it publishes on another channel, and how
/// long it then goes on listening to the one before. Twice the heartbeat, at which the broker
/// itself would be called dead. Set by `.confirm_timeout(..)`.
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

/// AMQP heartbeat. RabbitMQ's documentation calls less than 5 s a source of false alarms.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// One attempt to connect to a server, handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The time for which `connect` keeps trying before it reports that a server can't be reached, so
/// that programs and servers may start in any order. Set by `.connect_within(..)`.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// First and longest pause between attempts to reconnect; each is jittered, there is no last one.
pub const RECONNECT_MIN: Duration = Duration::from_millis(50);
/// See [`RECONNECT_MIN`].
pub const RECONNECT_MAX: Duration = Duration::from_secs(2);

/// The time for which a connection, a channel or a consumer has to be up for the pauses before the
/// next one to begin at [`RECONNECT_MIN`] again: longer than any of them, so that what is lost each
/// time it is made is made less and less often.
pub const STEADY_AFTER: Duration = Duration::from_secs(5);

/// The time a shutdown lets running handlers finish. Set by `.drain_within(..)`. Kubernetes kills
/// after 30 s.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(20);

/// Members of the baggage of one message, as W3C Baggage has it (section 3.3.2).
pub const BAGGAGE_MEMBERS_MAX: usize = 64;

/// Bytes of the baggage of one message, likewise.
pub const BAGGAGE_BYTES_MAX: usize = 8192;

/// Headers of user metadata on one call.
pub const METADATA_ENTRIES_MAX: usize = 32;

/// Bytes of the names and values of one call's metadata together.
pub const METADATA_BYTES_MAX: usize = 8 * 1024;

/// Bytes of the name of one entry of metadata.
pub const METADATA_NAME_BYTES_MAX: usize = 64;

/// Bytes of all headers of a message we send, as AMQP encodes them. They travel in one frame with
/// the other properties, and RabbitMQ's are 128 KiB.
pub const HEADERS_BYTES_MAX: usize = 64 * 1024;

/// Bytes of an idempotency key; it becomes part of a Redis key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Bytes of a queue, exchange or routing key: AMQP short strings end at 255, and we append a
/// suffix.
pub const NAME_BYTES_MAX: usize = 200;

/// Bytes of a namespace, which every name and key of a bus begins with.
pub const NAMESPACE_BYTES_MAX: usize = 64;

/// The longest wait that makes a difference; longer ones count as this. Adding more to a clock can
/// overflow it.
pub const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The time for which an event's handler that returns an error is run again before the event is
/// dead-lettered: a database that restarts is back by then. Set by `.retry_within(..)`, up to
/// [`CALL_TIMEOUT_MAX`].
pub const EVENT_RETRY_WITHIN: Duration = Duration::from_secs(60);

/// The time for which a subscriber remembers which events it has handled.
pub const EVENT_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// Dead letters one queue keeps. Beyond it, and beyond [`DEAD_LETTERS_BYTES_MAX`], further ones are
/// dropped: those that are there tell how it began, and a service that does its work is not stopped
/// for a full queue of what it could not do. `Health::dead_letters_dropped` names the queue, the
/// metric `replybus_dead_letters_dropped_total` counts, the log has the id of each.
pub const DEAD_LETTERS_MAX: u32 = 100_000;

/// Bytes of the bodies of the dead letters one queue keeps: what a broker has to spare, and 10 KiB
/// for each of [`DEAD_LETTERS_MAX`].
pub const DEAD_LETTERS_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Times that a message in a quorum queue may be given back before RabbitMQ drops it: as good as
/// without limit. RabbitMQ 4 drops after 20 of itself, and counts what a worker that ends had fetched
/// and not begun, and each look at a dead letter. What ends its workers is counted where it is run.
pub const RETURNS_MAX: u32 = i32::MAX.unsigned_abs();

/// Dead letters that are listed at once.
pub const DEAD_LETTERS_LISTED_MAX: u64 = 1000;

/// Bytes of the dead letters that are listed at once; a large one is listed by itself. With
/// [`DEAD_LETTERS_LISTED_MAX`] of the largest a list would take a quarter of a GiB.
pub const DEAD_LETTERS_LISTED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of the headers of one dead letter, the reason aside; larger ones are left out. Twice what
/// a call's metadata may have: the broker counts bodies only, and [`DEAD_LETTERS_MAX`] of these are
/// as much again.
pub const DEAD_LETTER_HEADERS_MAX: usize = 2 * METADATA_BYTES_MAX;

/// Bytes of the body of one dead letter; the rest is cut off. As much as a request may have: more
/// was never read.
pub const DEAD_LETTER_BODY_MAX: usize = REQUEST_BYTES_MAX;

/// The time for which a dead letter is put again while the broker is up and does not take it, other
/// than because the queue is full. Long enough for a quorum queue to elect a leader and for a
/// confirm to be missed ([`CONFIRM_TIMEOUT`]); for the second half without what is large in it.
pub const DEAD_LETTER_WITHIN: Duration = Duration::from_secs(20);

/// Events of calls that the flight record keeps: of a thousand calls a second some fourteen seconds,
/// about 30 MB in Redis. Set by [`FlightRecord::keep`](crate::flight::FlightRecord::keep).
pub const FLIGHT_EVENTS_KEPT: usize = 100_000;

/// The most that can be set: whoever looks for a call reads all that is there.
pub const FLIGHT_EVENTS_KEPT_MAX: usize = 500_000;

/// Bytes of one event as it is written down. Names of the usual length make about 270; those of the
/// greatest fit, so what is not recorded for its size was forged.
pub const FLIGHT_EVENT_BYTES_MAX: usize = 2048;

/// Events that wait in one process to be written: what 10,000 calls a second make while the store is
/// away for a tenth of a second. Further ones are dropped, and counted as
/// `replybus_flight_events_dropped_total`.
pub const FLIGHT_EVENTS_WAITING_MAX: usize = 8192;

/// Events that are written at once, with one command for each: more would keep others off the
/// connection.
pub const FLIGHT_BATCH_EVENTS_MAX: usize = 256;

/// The pause between two writes, in which events gather: short for a person who looks for a call.
pub const FLIGHT_BATCH_EVERY: Duration = Duration::from_millis(50);

/// The time the store may take for one write; then its events are dropped, and counted.
pub const FLIGHT_WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// The time after the last event at which the whole record is gone: that it was forgotten to be
/// switched off costs nothing for long.
pub const FLIGHT_TTL: Duration = Duration::from_secs(60 * 60);

/// Events that are read from the store at once.
pub const FLIGHT_PAGE_EVENTS_MAX: usize = 1000;

/// The difference between the clocks of callers and of the store at which the beginning of a call is
/// still found in the record.
pub const FLIGHT_CLOCK_ALLOWANCE: Duration = Duration::from_secs(60);

/// Calls within calls that are shown of one call; a handler that calls a service which calls it has
/// no end.
pub const FLIGHT_DEPTH_MAX: usize = 32;
