//! One call on its way through the client's layers to the publisher.

use super::copies::Copies;
use crate::{
    call_id::CallId,
    codec::ContentType,
    context::{Metadata, TraceContext},
    contract::{MethodContract, MethodKind, ServiceContract, unix_time},
    error::{CallFailure, FailureKind},
    message::{Message, Properties},
    wire::headers,
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// A call, as a client layer sees it.
#[derive(Debug, Clone)]
pub struct CallRequest {
    pub(crate) id: CallId,
    pub(crate) contract: &'static ServiceContract,
    pub(crate) method: &'static MethodContract,
    pub(crate) queue: Arc<str>,
    pub(crate) verb: Verb,
    pub(crate) content_type: ContentType,
    pub(crate) body: Bytes,
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
    pub(crate) expires_in: Duration,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) metadata: Metadata,
    /// The trace it continues, if it does.
    pub(crate) trace: Option<TraceContext>,
    pub(crate) copies: Copies,
}

/// What the caller wants back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
        self.id
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

    /// Whether the method may be repeated.
    #[must_use]
    pub fn kind(&self) -> MethodKind {
        self.method.kind
    }

    /// What the caller wants back.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// When the caller gives up waiting, for a reply or for the broker's word.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
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

    /// What errors tell of the call, when the request itself is on its way.
    pub(crate) fn about(&self) -> About {
        About {
            id: self.id,
            service: self.contract.name,
            method: self.method.name,
            started: self.started,
            deadline: self.deadline,
        }
    }

    /// A failure of this call, at this moment.
    pub(crate) fn failure(&self, kind: FailureKind) -> CallFailure {
        self.about().failure(kind)
    }

    /// The message: the same for each copy, but for what the publisher adds and for the mark of
    /// one that is `repeated`.
    pub(crate) fn message(&self, app_id: &str, inbox: &str, repeated: bool) -> Message {
        let id = self.id.to_string();
        let awaited = self.verb == Verb::Call;
        let answered = self.verb != Verb::Send;
        Message {
            exchange: String::new(),
            routing_key: self.queue.as_ref().to_owned(),
            properties: Properties {
                // Without a correlation id there is nothing to answer to.
                correlation_id: answered.then(|| id.clone()),
                message_id: Some(id),
                reply_to: awaited.then(|| inbox.to_owned()),
                kind: Some(self.method.name.to_owned()),
                content_type: Some(self.content_type.as_str().to_owned()),
                expiration: None,
                timestamp: Some(unix_time().as_secs()),
                app_id: Some(app_id.to_owned()),
                // What changes something survives a broker; a question is asked again.
                persistent: !(awaited && self.method.kind == MethodKind::Query),
                headers: self.headers(awaited, repeated),
            },
            body: self.body.clone(),
        }
    }

    fn headers(&self, awaited: bool, repeated: bool) -> Vec<(String, String)> {
        let mut headers = Vec::with_capacity(4);
        // A trace that begins here is named after the call: the service derives it from the id.
        headers.extend(self.trace.iter().flat_map(TraceContext::headers));
        let mut set = |name: &str, value: String| headers.push((name.to_owned(), value));
        if awaited {
            let left = self.deadline.saturating_duration_since(Instant::now());
            set(
                headers::DEADLINE,
                (unix_time() + left).as_millis().to_string(),
            );
        }
        if let Some(key) = &self.idempotency_key {
            set(headers::IDEMPOTENCY_KEY, key.clone());
        }
        if repeated {
            set(headers::REPEATED, headers::TRUE.to_owned());
        }
        for (name, value) in self.metadata.iter() {
            set(name, value.to_owned());
        }
        headers
    }
}

/// What errors tell of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    id: CallId,
    service: &'static str,
    method: &'static str,
    started: Instant,
    deadline: Instant,
}

impl About {
    /// A failure of the call, at this moment.
    pub(crate) fn failure(&self, kind: FailureKind) -> CallFailure {
        self.complete(CallFailure::new(kind, "", ""))
    }

    /// The failure, with what only this end knows.
    pub(crate) fn complete(&self, failure: CallFailure) -> CallFailure {
        failure.named(self.service, self.method).about(
            self.id,
            self.started.elapsed(),
            self.deadline - self.started,
        )
    }
}
