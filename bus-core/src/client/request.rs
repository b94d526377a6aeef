//! One call on its way through the client's layers to the publisher.

use super::copies::Copies;
use crate::{
    call_id::CallId,
    codec::ContentType,
    context::Metadata,
    contract::{CachePolicy, MethodContract, MethodKind, Priority, ServiceContract, unix_time},
    error::{CallFailure, FailedCall, FailureKind, Fault},
    message::{Headers, Message, Properties, Text},
    partition::Place,
    schedule::Due,
    signature::Signatures,
    trace::Carried,
    wire::headers,
};
use bytes::Bytes;
use std::{borrow::Cow, time::Duration};
use tokio::time::Instant;

/// A call, as a client layer sees it.
///
/// Its clones are copies of one call: a layer that sends one of them again makes no second call,
/// and the service knows it by its id.
///
/// ```
/// use replybus::{
///     Bus, Never,
///     client::{CallRequest, CallResponse, ClientService},
///     error::BoxError,
///     queue_handler,
/// };
/// use tower::ServiceExt;
///
/// #[queue_handler("greeter.requests")]
/// pub trait Greeter {
///     async fn greet(&self, name: String) -> Result<String, Never>;
/// }
///
/// /// Adds the tenant to every call, and prints what became of it.
/// async fn observed(
///     inner: ClientService,
///     mut request: CallRequest,
/// ) -> Result<CallResponse, BoxError> {
///     request.metadata_mut().insert("tenant", "acme")?;
///     let name = format!("{}.{}", request.service(), request.method());
///     let outcome = inner.oneshot(request).await;
///     println!("{name}: {}", if outcome.is_ok() { "answered" } else { "failed" });
///     outcome
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let layer = tower::layer::layer_fn(|inner: ClientService| {
///     tower::service_fn(move |request| observed(inner.clone(), request))
/// });
/// let greeter = GreeterClient::new(&Bus::in_memory()).layer(layer);
/// # assert!(greeter.greet("Ada".into()).await.is_err());
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CallRequest {
    pub(crate) contract: &'static ServiceContract,
    pub(crate) method: &'static MethodContract,
    pub(crate) queue: Text,
    pub(crate) verb: Verb,
    /// It waits for its service, where nobody serves it.
    pub(crate) waits_for_service: bool,
    /// No kept answer is good enough.
    pub(crate) anew: bool,
    pub(crate) priority: Priority,
    pub(crate) content_type: ContentType,
    /// Bytes that the producer of its stream may be ahead; 0 of a call without one.
    pub(crate) window: u32,
    /// The hash of its key; 0 if its contract has no partitions.
    pub(crate) key: u32,
    pub(crate) body: Bytes,
    pub(crate) started: Instant,
    /// The deadline by the clock on the wall, in milliseconds since the Unix epoch: one for all copies,
    /// whatever becomes of that clock.
    pub(crate) deadline_at: u64,
    /// The time it may wait to be started, if nobody waits for its reply here; from when it is due.
    pub(crate) ttl: Duration,
    /// When it is to reach its queue, if not at once.
    pub(crate) due: Option<Box<Due>>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) metadata: Metadata,
    /// Its trace, if it continues one, and baggage.
    pub(crate) carried: Carried,
    pub(crate) copies: Copies,
}

/// The way a call was made: what its caller wants back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// The reply, now.
    Call,
    /// Nothing but the broker's word that it has the request.
    Send,
    /// The broker's word now, and the reply later, under the call's own key.
    Submit,
}

impl CallRequest {
    /// The call's id.
    #[must_use]
    pub fn id(&self) -> CallId {
        self.copies.id()
    }

    /// The trait that is called.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.contract.name
    }

    /// The method that is called.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.method.name
    }

    /// The queue it is for, without the namespace of the bus.
    #[must_use]
    pub fn queue(&self) -> &str {
        self.queue_name()
    }

    pub(crate) fn queue_name(&self) -> &Text {
        self.copies.lanes().probe().name()
    }

    /// The kind of method: one that only reads, or one that changes something.
    #[must_use]
    pub fn kind(&self) -> MethodKind {
        self.method.kind
    }

    /// The way the call was made: what its caller wants back.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// How much it matters beside others.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// The moment at which the caller gives up waiting, for a reply or for the broker's word.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.copies.deadline()
    }

    /// The moment at which it is to reach the service, if that is not at once.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due.as_ref().map(|due| due.at)
    }

    /// The encoded arguments.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The metadata that travels with it.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The metadata that travels with it, to add to.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// The name of the call, for errors while the request itself is on its way.
    pub(crate) fn info(&self) -> CallInfo {
        CallInfo {
            service: self.contract.name.into(),
            method: self.method.name.into(),
            id: self.id(),
            started: self.started,
            timeout: self.deadline() - self.started,
        }
    }

    /// The failure that a fault in its reply stands for.
    pub(crate) fn fault(&self, fault: Fault) -> CallFailure {
        let service = fault.contract;
        let failure = self.info().fault(fault);
        match (self.contract.stated_fingerprint(self.method), service) {
            (Some(caller), Some(service)) => failure.between(caller, service),
            _ => failure,
        }
    }

    /// A failure of this call, at this moment.
    pub(crate) fn failure(&self, kind: FailureKind) -> CallFailure {
        self.info().failure(kind)
    }

    /// The failure of a call whose time was over before it was sent: another had its answer computed.
    pub(crate) fn never_sent(&self) -> CallFailure {
        let failure = self.failure(FailureKind::TimedOut).surely_not_executed();
        failure.of_one_copy(self.copies.are_any())
    }

    /// How its answer is kept for others, if it is.
    pub(super) fn cache_policy(&self) -> Option<&'static CachePolicy> {
        let policy = self.method.cache.as_ref()?;
        let has_stream = self.window > 0 || self.method.stream || self.method.feed;
        let is_kept = self.method.kind == MethodKind::Query && !policy.ttl.is_zero();
        (is_kept && !has_stream).then_some(policy)
    }

    /// The message: the same for each copy, but for what the publisher adds and for the mark of
    /// one that is `repeated`. One whose reply is waited for says nothing twice: it is known by its
    /// correlation id, and in nobody's hands for long enough to ask how old it is.
    pub(crate) fn message(
        &self,
        app_id: &Text,
        inbox: &Text,
        signatures: &Signatures,
        repeated: bool,
    ) -> Message {
        let id = self.id().to_text();
        let awaited = self.verb == Verb::Call;
        let answered = self.verb != Verb::Send;
        let signature = signatures.header(self, app_id, inbox);
        let mut headers = self.headers(awaited, repeated, signature);
        headers.extend(self.carried.unrecorded_header(self.id()));
        Message {
            exchange: Text::default(),
            routing_key: self.queue.clone(),
            properties: Properties {
                // Without a correlation id there is nothing to answer to.
                message_id: (!awaited).then(|| id.clone()),
                correlation_id: answered.then_some(id),
                reply_to: awaited.then(|| inbox.clone()),
                kind: Some(Text::from_static(self.method.name)),
                content_type: (!awaited || self.content_type != ContentType::default())
                    .then(|| Text::from_static(self.content_type.as_str())),
                priority: self.priority_on_the_wire(),
                expiration: None,
                timestamp: (!awaited).then(|| unix_time().as_secs()),
                app_id: Some(app_id.clone()),
                // What changes something survives a broker; a question is asked again.
                persistent: !(awaited && self.method.kind == MethodKind::Query),
                headers,
                ..Properties::default()
            },
            body: self.body.clone(),
        }
    }

    /// The place that it has by its key, of a contract with partitions.
    pub(crate) fn place(&self) -> Option<Place> {
        let partitions = self.contract.partitions?;
        Some(Place {
            key: self.key,
            partitions,
        })
    }

    /// Nothing may overtake another call of its key, as what is above 4 does in a quorum queue of
    /// RabbitMQ 4.
    fn priority_on_the_wire(&self) -> Option<u8> {
        let is_ordered = self.contract.partitions.is_some();
        let level = self.priority.to_wire()?;
        (level <= 4 || !is_ordered).then_some(level)
    }

    /// Its headers, with its deadline or without, and without that of a trace that is not recorded.
    pub(super) fn headers(
        &self,
        deadline: bool,
        repeated: bool,
        signature: Option<(Text, Text)>,
    ) -> Headers {
        let mut headers = Headers::default();
        // A trace that begins here is named after the call: the service derives it from the id.
        headers.extend(self.carried.headers());
        let mut set =
            |name: &'static str, value: Text| headers.push((Text::from_static(name), value));
        if deadline {
            set(headers::DEADLINE, Text::shown(self.deadline_at));
        }
        if let Some(due) = &self.due {
            // It has no time to live while it waits.
            set(headers::DEADLINE, millis(due.named + self.ttl));
            set(headers::DUE, millis(due.named));
        }
        if let Some(key) = &self.idempotency_key {
            set(headers::IDEMPOTENCY_KEY, key.into());
        }
        if self.window > 0 {
            set(headers::STREAM, Text::shown(self.window));
        }
        if let Some(place) = self.place() {
            set(headers::PARTITION, place.header());
        }
        if repeated {
            set(headers::REPEATED, Text::from_static(headers::TRUE));
        }
        headers.extend(signature);
        let metadata = self.metadata.iter();
        headers.extend(metadata.map(|(name, value)| (name.into(), value.into())));
        headers
    }
}

fn millis(since_epoch: Duration) -> Text {
    Text::shown(since_epoch.as_millis())
}

/// The name of a call and the time it was given, for its errors.
#[derive(Debug, Clone)]
pub(crate) struct CallInfo {
    pub(crate) service: Cow<'static, str>,
    pub(crate) method: Cow<'static, str>,
    pub(crate) id: CallId,
    pub(crate) started: Instant,
    pub(crate) timeout: Duration,
}

impl CallInfo {
    /// A failure of the call, at this moment.
    pub(crate) fn failure(&self, kind: FailureKind) -> CallFailure {
        CallFailure::new(kind, self.failed_call())
    }

    /// The failure, at this moment, that a fault in its reply stands for.
    pub(crate) fn fault(&self, fault: Fault) -> CallFailure {
        CallFailure::from_fault(fault, self.failed_call())
    }

    fn failed_call(&self) -> FailedCall {
        FailedCall {
            service: self.service.clone(),
            method: self.method.clone(),
            id: self.id,
            elapsed: self.started.elapsed(),
            timeout: self.timeout,
        }
    }
}
