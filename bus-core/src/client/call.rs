//! One call, as its caller builds it: options, then one of three verbs.

use super::{
    ServiceClient, Ticket,
    caller::CallResponse,
    copies::Copies,
    request::{CallRequest, Verb},
};
use crate::{
    call_id::CallId,
    codec::{self, CodecError},
    context::{Context, Metadata},
    contract::{MethodContract, Outcome, check_key},
    error::{BoxError, CallError, CallFailure, FailureKind},
    limits::{CALL_TIMEOUT_MAX, SEND_TTL},
    wire::ReplyFrame,
};
use bytes::Bytes;
use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    time::Duration,
};
use tokio::time::Instant;

/// A call that has not been made: set options, then await it for the reply, or
/// [`send`](Self::send) or [`submit`](Self::submit) it.
///
/// The time given is the method's timeout, or [`CALL_TIMEOUT`](crate::limits::CALL_TIMEOUT), and
/// never more than what is left of the call that is being served, if any: nested calls share one
/// deadline. It starts when the verb does.
#[must_use = "a call does nothing until it is awaited, sent or submitted"]
pub struct Call<R> {
    client: ServiceClient,
    method: &'static MethodContract,
    body: Result<Bytes, CodecError>,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    idempotency_key: Option<String>,
    metadata: Metadata,
    refused: Option<BoxError>,
    outcome: PhantomData<fn() -> R>,
}

impl<R> Call<R> {
    pub(super) fn new(
        client: ServiceClient,
        method: &'static MethodContract,
        body: Result<Bytes, CodecError>,
    ) -> Self {
        Self {
            client,
            method,
            body,
            timeout: None,
            deadline: None,
            idempotency_key: None,
            metadata: Metadata::new(),
            refused: None,
            outcome: PhantomData,
        }
    }
}

impl<R: Outcome> Call<R> {
    /// The time given to this call, up to
    /// [`CALL_TIMEOUT_MAX`](crate::limits::CALL_TIMEOUT_MAX). For a one-way or submitted call: the
    /// time within which it must be started, up to [`SEND_TTL`](crate::limits::SEND_TTL).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The moment this call gives up, if that is before its timeout.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Names the effect of this call: a command runs at most once for one key, and a repeated call
    /// gets the first one's reply. 1 to
    /// [`IDEMPOTENCY_KEY_BYTES_MAX`](crate::limits::IDEMPOTENCY_KEY_BYTES_MAX) bytes without
    /// control characters; remembered for
    /// [`KEYED_RETENTION`](crate::limits::KEYED_RETENTION), on this queue. What is remembered is
    /// the handler's answer, its own error included unless the handler
    /// [releases](Context::release_key) the key. The same request is one with the same encoded
    /// arguments: a `HashMap` among them has no fixed order, a `BTreeMap` has.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Attaches metadata, beside what is inherited from the call that is being served. An entry
    /// that is not allowed makes the verb fail; see [`Metadata::insert`].
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Err(error) = self.metadata.insert(name, value) {
            self.refused.get_or_insert(error.into());
        }
        self
    }

    /// Makes the call one-way: returns when the broker has it. Its outcome is not reported; if it
    /// fails it is kept as a dead letter.
    ///
    /// # Errors
    /// It can't be encoded, reaches no queue, is refused, or the broker did not confirm in time.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the call may or may not have been sent.
    pub async fn send(self) -> Result<CallId, CallFailure> {
        let (client, request) = self.prepare(Verb::Send)?;
        let id = request.id;
        client.accept(request).await?;
        Ok(id)
    }

    /// Submits the call: returns when the broker has it, with a ticket on which this or any other
    /// process can wait for the reply.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the call may or may not have been submitted.
    pub async fn submit(self) -> Result<Ticket<R>, CallFailure> {
        let (client, request) = self.prepare(Verb::Submit)?;
        let ticket = Ticket::of(&request);
        let repeated = client.accept(request).await?;
        Ok(ticket.repeated(repeated))
    }

    async fn call(self) -> Result<R::Ok, CallError<R::Err>> {
        let (client, request) = self.prepare(Verb::Call)?;
        let about = request.about();
        match client.run(request).await? {
            CallResponse::Reply { frame, repeated } => read_reply::<R>(&frame, |failure| {
                about.complete(failure.of_one_copy(repeated))
            }),
            CallResponse::Accepted { .. } => Err(about
                .failure(FailureKind::BadReply)
                .with_source("a layer answered a call without a reply")
                .into()),
        }
    }

    fn prepare(self, verb: Verb) -> Result<(ServiceClient, CallRequest), CallFailure> {
        let contract = self.client.contract();
        let not_sent = |source: BoxError| {
            CallFailure::new(FailureKind::NotSent, contract.name, self.method.name)
                .with_source(source)
        };
        if let Some(error) = self.refused {
            return Err(not_sent(error));
        }
        if let Some(key) = &self.idempotency_key {
            check_key(key).map_err(|reason| not_sent(reason.into()))?;
        }
        let queue = self.client.queue().map_err(not_sent)?;
        let body = self.body.map_err(|error| not_sent(error.into()))?;
        let context = Context::current();
        let mut metadata = context.metadata().clone();
        for (name, value) in self.metadata.iter() {
            metadata
                .insert(name, value)
                .map_err(|error| not_sent(error.into()))?;
        }
        let started = Instant::now();
        let budget = contract.timeout(self.method);
        let (wait, expires_in) = match verb {
            Verb::Call => {
                let timeout = self.timeout.unwrap_or(budget).min(CALL_TIMEOUT_MAX);
                (timeout, timeout)
            }
            Verb::Send | Verb::Submit => (budget, self.timeout.unwrap_or(SEND_TTL).min(SEND_TTL)),
        };
        let deadline = [self.deadline, context.deadline()]
            .into_iter()
            .flatten()
            .fold(started + wait, Instant::min)
            // A deadline in the past makes a budget of nothing, not one below it.
            .max(started);
        let id = CallId::new();
        let request = CallRequest {
            id,
            contract,
            method: self.method,
            queue,
            verb,
            content_type: self.client.content_type(),
            body,
            started,
            deadline,
            expires_in,
            idempotency_key: self.idempotency_key,
            metadata,
            trace: context.trace().map(|trace| trace.child(id)),
            copies: Copies::default(),
        };
        Ok((self.client, request))
    }
}

/// Reads the frame of a reply into what the method returns; `complete` adds to a failure what the
/// reader knows of the call.
pub(super) fn read_reply<R: Outcome>(
    frame: &Bytes,
    complete: impl Fn(CallFailure) -> CallFailure,
) -> Result<R::Ok, CallError<R::Err>> {
    let bad = |error: BoxError| {
        let failure = CallFailure::new(FailureKind::BadReply, "", "").with_source(error);
        CallError::Bus(complete(failure))
    };
    let (content_type, frame) = ReplyFrame::decode(frame).map_err(|error| bad(error.into()))?;
    match frame {
        ReplyFrame::Ok(body) => {
            codec::decode(content_type, &body).map_err(|error| bad(error.into()))
        }
        ReplyFrame::Handler(body) => match codec::decode(content_type, &body) {
            Ok(error) => Err(CallError::Handler(error)),
            Err(error) => Err(bad(error.into())),
        },
        ReplyFrame::Fault(fault) => Err(complete(CallFailure::from_fault(fault)).into()),
    }
}

impl<R: Outcome> IntoFuture for Call<R> {
    type Output = Result<R::Ok, CallError<R::Err>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Makes the call and waits for its reply.
    ///
    /// Dropping the future frees the waiter; a request that was written runs all the same.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.call())
    }
}

impl<R> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("service", &self.client.contract().name)
            .field("method", &self.method.name)
            .field("timeout", &self.timeout)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}
