//! One service as both sides know it: its queue, its methods, and the defaults of each.

use super::{CachePolicy, Described, QueueType, RetryPolicy};
use crate::{
    limits::{CALL_TIMEOUT, CALL_TIMEOUT_MAX, JOB_TIMEOUT_MAX, PARTITIONS_MAX},
    partition::partition_queue,
};
use std::time::Duration;

/// One annotated trait: its name, its queue and its methods.
///
/// `#[queue_handler]` makes it a constant. It can also be written by hand, for a service whose
/// methods are known only to a program:
///
/// ```
/// use replybus::contract::{MethodContract, MethodKind, ServeDefaults, ServiceContract};
/// use std::time::Duration;
///
/// static RATES: ServiceContract = ServiceContract::new(
///     "Rates",
///     "rates.requests",
///     &[
///         MethodContract::new("latest", MethodKind::Query),
///         MethodContract::new("publish", MethodKind::Command).timeout(Duration::from_secs(1)),
///     ],
/// )
/// .defaults(ServeDefaults::new().concurrency(8));
///
/// let (position, publish) = RATES.method("publish").unwrap();
/// assert_eq!(position, 1);
/// assert_eq!(RATES.timeout(publish), Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceContract {
    /// The trait's name, used in errors, spans and metrics.
    pub name: &'static str,
    /// The queue requests travel through, before any namespace of the bus.
    pub queue: &'static str,
    /// The attribute's options for the serving side; each can be overridden when serving.
    pub defaults: ServeDefaults,
    /// The methods in the order of the trait.
    pub methods: &'static [MethodContract],
    /// The queues that its calls are divided among, by their keys; see
    /// [`partitions`](Self::partitions).
    pub partitions: Option<u16>,
    pub(crate) described: Described,
}

impl ServiceContract {
    /// The contract of a service called `name` that takes requests from `queue`.
    #[must_use]
    pub const fn new(
        name: &'static str,
        queue: &'static str,
        methods: &'static [MethodContract],
    ) -> Self {
        Self {
            name,
            queue,
            defaults: ServeDefaults::new(),
            methods,
            partitions: None,
            described: Described::NOTHING,
        }
    }

    /// What generated code says of its types.
    #[doc(hidden)]
    #[must_use]
    pub const fn described(mut self, described: Described) -> Self {
        self.described = described;
        self
    }

    /// `partitions = 16`: each call has a key, and calls of one key are run one after the other, in
    /// the order in which the broker has them; see [`partition`](crate::partition). Between 1 and
    /// [`PARTITIONS_MAX`]. Calls of such a contract are made by
    /// [`ServiceClient::call_by_key`](crate::client::ServiceClient::call_by_key).
    #[must_use]
    pub const fn partitions(mut self, partitions: u16) -> Self {
        self.partitions = match partitions {
            0 => Some(1),
            1..=PARTITIONS_MAX => Some(partitions),
            _ => Some(PARTITIONS_MAX),
        };
        self
    }

    /// The queues that its calls travel through, before any namespace of the bus: the one, or those
    /// of its partitions.
    ///
    /// ```
    /// use replybus::contract::ServiceContract;
    ///
    /// let contract = ServiceContract::new("Accounts", "account.requests", &[]);
    /// assert_eq!(contract.queues().collect::<Vec<_>>(), ["account.requests"]);
    ///
    /// let queues = contract.partitions(2);
    /// let queues = queues.queues().collect::<Vec<_>>();
    /// assert_eq!(queues, ["account.requests.0", "account.requests.1"]);
    /// ```
    pub fn queues(&self) -> impl Iterator<Item = String> + use<> {
        let (queue, partitions) = (self.queue, self.partitions);
        (0..partitions.unwrap_or(1)).map(move |partition| match partitions {
            Some(_) => partition_queue(queue, partition),
            None => queue.to_owned(),
        })
    }

    /// Sets the defaults of the serving side.
    #[must_use]
    pub const fn defaults(mut self, defaults: ServeDefaults) -> Self {
        self.defaults = defaults;
        self
    }

    /// The method called `name` on the wire, with its position in the trait.
    #[must_use]
    pub fn method(&self, name: &str) -> Option<(usize, &'static MethodContract)> {
        self.methods
            .iter()
            .enumerate()
            .find(|(_, method)| method.name == name)
    }

    /// The time given to a call of `method` that names no timeout of its own.
    #[must_use]
    pub fn timeout(&self, method: &MethodContract) -> Duration {
        method
            .timeout
            .or(self.defaults.timeout)
            .unwrap_or(CALL_TIMEOUT)
    }
}

/// One method of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MethodContract {
    /// The method's name, sent as the AMQP property `type`.
    pub name: &'static str,
    /// A question or a change.
    pub kind: MethodKind,
    /// The time given to one call, if the method names one.
    pub timeout: Option<Duration>,
    /// Of a command: its handler keeps the record of what came of it; see
    /// [`own_record`](Self::own_record).
    pub own_record: bool,
    /// Of a command that takes long: the time it may take; see [`job`](Self::job).
    pub job: Option<Duration>,
    /// Its arguments and its result, as they are written in the trait, without blanks; empty of a
    /// contract that was written by hand. Told from others by a
    /// [fingerprint](ServiceContract::fingerprint).
    pub signature: &'static str,
    /// Its answer is a stream of items; see [`stream`](Self::stream).
    pub stream: bool,
    /// One of its arguments is a stream of items; see [`feed`](Self::feed).
    pub feed: bool,
    /// Of a command: when it is run again, if its handler puts it off
    /// ([`RetryLater`](crate::RetryLater)).
    pub retry: Option<RetryPolicy>,
    /// Of a query: how its answers are kept; see [`cache`](Self::cache).
    pub cache: Option<CachePolicy>,
    /// Of a command: the tags of the answers that it makes untrue; see
    /// [`invalidates`](Self::invalidates).
    pub invalidates: &'static [&'static str],
}

impl MethodContract {
    /// A method called `name` on the wire.
    #[must_use]
    pub const fn new(name: &'static str, kind: MethodKind) -> Self {
        Self {
            name,
            kind,
            timeout: None,
            own_record: false,
            job: None,
            signature: "",
            stream: false,
            feed: false,
            retry: None,
            cache: None,
            invalidates: &[],
        }
    }

    /// Sets its arguments and its result, as they are written in the trait.
    #[must_use]
    pub const fn signature(mut self, signature: &'static str) -> Self {
        self.signature = signature;
        self
    }

    /// `#[command(own_record)]`: the handler of this command writes its key and its outcome in the
    /// transaction of its effect, so no claim is taken for it, which saves two round trips to the
    /// reply store. In return the handler can be run again, and at the same time elsewhere, for one
    /// call or key: after a lost connection, a worker's death, or because its caller asked twice.
    /// It has to find its own record then, answer what it answered before, an error included, and
    /// refuse a key of other contents. A service that does not know this option claims the command
    /// as any other.
    #[must_use]
    pub const fn own_record(mut self) -> Self {
        self.own_record = true;
        self
    }

    /// `#[command(job = "4h")]`: a command that takes long, up to this time and
    /// [`JOB_TIMEOUT_MAX`](crate::limits::JOB_TIMEOUT_MAX), after which its handler is told that it
    /// is cancelled. Its message is not held back from the broker while it runs, so no limit of the
    /// broker's on that counts. A worker that dies is noticed, and the job begun anew by another: its
    /// [attempts](crate::Context::attempt) are counted. It can say [how far it
    /// is](crate::Context::progress). All that it comes to is its outcome, a panic too. A service
    /// that does not know this option runs it as any other command.
    #[must_use]
    pub const fn job(mut self, timeout: Duration) -> Self {
        self.job = Some(timeout);
        self
    }

    /// The longest that its handler may be busy with a call.
    pub(crate) fn longest(&self) -> Duration {
        self.job
            .map_or(CALL_TIMEOUT_MAX, |job| job.min(JOB_TIMEOUT_MAX))
    }

    /// `#[stream]`: the answer of this query is a stream of items, which travel one after the other
    /// as its caller takes them. It is made by a [`StreamCall`](crate::stream::StreamCall), and
    /// refuses any other call.
    #[must_use]
    pub const fn stream(mut self) -> Self {
        self.stream = true;
        self
    }

    /// `#[stream]` on an argument: that is a stream of items, which its caller sends while the handler
    /// runs and reads them. It is called by a [`FeedCall`](crate::stream::FeedCall), and refuses any
    /// other call. It is no job and has no retries: a stream can't be sent a second time.
    #[must_use]
    pub const fn feed(mut self) -> Self {
        self.feed = true;
        self
    }

    /// `true` if a claim is taken before the handler runs.
    pub(crate) fn is_claimed(&self) -> bool {
        self.kind == MethodKind::Command && !self.own_record
    }

    /// `#[command(retry(..))]`: a command whose handler returns an error that it marks as passing
    /// ([`RetryLater`](crate::RetryLater)) is run again. Of a query this is not heeded: its caller
    /// asks again. A service that does not know this option answers the error.
    #[must_use]
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// `#[query(cache = "300s", ..)]`: the caller's side keeps answers of this query in the reply
    /// store, and looks there before it asks the service; see [`CachePolicy`]. Of a command, of a stream
    /// and of a call with a streamed argument this is not heeded.
    #[must_use]
    pub const fn cache(mut self, policy: CachePolicy) -> Self {
        self.cache = Some(policy);
        self
    }

    /// `#[invalidates("product:{id}", "products")]`: once this command has done its work, answers of
    /// this service's queries that were kept under one of these [tags](CachePolicy::tags) are given
    /// to nobody any more. That is done before its caller is answered, who so reads what it wrote;
    /// and while the reply store is away it waits for it, as the answer does.
    ///
    /// It has done its work if its handler returned a value, or may have, if it panicked; not if it
    /// returned an error. A command whose arguments make no tag is refused.
    #[must_use]
    pub const fn invalidates(mut self, tags: &'static [&'static str]) -> Self {
        self.invalidates = tags;
        self
    }

    /// Sets the time given to a call that names none.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// The two kinds of method, told apart by the harm that running one twice does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MethodKind {
    /// `#[query]`: reads only. Travels as a transient message, may be repeated, may be dropped.
    Query,
    /// `#[command]`, the default: changes something. Travels as a persistent message, is claimed
    /// under its idempotency key before it runs, unless its handler keeps a
    /// [record of its own](MethodContract::own_record), and is never dropped half-way.
    Command,
}

/// Options of the attribute that concern the serving side. `None` means the value in
/// [`crate::limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeDefaults {
    /// Handlers that run at the same time in one process.
    pub concurrency: Option<u16>,
    /// Deliveries the broker hands over before the first is settled.
    pub prefetch: Option<u16>,
    /// The time given to a call whose method names none.
    pub timeout: Option<Duration>,
    /// The kind of queue to declare.
    pub queue_type: QueueType,
    /// Messages the queue holds before further ones are refused. `None` means without limit.
    pub queue_length_max: Option<u32>,
    /// Calls that wait at the same time may leave as one message, which one process gets.
    pub bundles: bool,
}

impl Default for ServeDefaults {
    fn default() -> Self {
        Self::new()
    }
}

impl ServeDefaults {
    /// The defaults in [`crate::limits`], on a classic queue without a limit.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            concurrency: None,
            prefetch: None,
            timeout: None,
            queue_type: QueueType::Classic,
            queue_length_max: None,
            bundles: true,
        }
    }

    /// Sets the handlers that run at the same time in one process.
    #[must_use]
    pub const fn concurrency(mut self, concurrency: u16) -> Self {
        self.concurrency = Some(concurrency);
        self
    }

    /// Sets the deliveries that one process holds.
    #[must_use]
    pub const fn prefetch(mut self, prefetch: u16) -> Self {
        self.prefetch = Some(prefetch);
        self
    }

    /// Sets the time given to a call whose method names none.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the kind of queue.
    #[must_use]
    pub const fn queue_type(mut self, queue_type: QueueType) -> Self {
        self.queue_type = queue_type;
        self
    }

    /// Sets the messages that the queue holds before further ones are refused.
    #[must_use]
    pub const fn queue_length_max(mut self, messages: u32) -> Self {
        self.queue_length_max = Some(messages);
        self
    }

    /// Sets whether calls that wait at the same time may leave as one message.
    #[must_use]
    pub const fn bundles(mut self, bundles: bool) -> Self {
        self.bundles = bundles;
        self
    }
}
