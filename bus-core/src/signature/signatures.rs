//! What a bus signs, and what it and its services believe.

use super::{
    key::SigningKey,
    reply::{self, Answered, request_digest},
    request::{self, Times},
    ring::{KeyRing, Refusal},
};
use crate::{
    call_id::CallId,
    client::CallRequest,
    contract::{ServiceContract, unix_time},
    error::{Fault, FaultCode, SetupError},
    limits::{CLOCK_ALLOWANCE, SEND_TTL},
    message::{Message, Text},
    wire::{ReplyFrame, headers},
    work::Envelope,
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The signatures of one bus. Clones share what is in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signatures {
    namespace: Arc<str>,
    key: Option<SigningKey>,
    replies: Option<Arc<KeyRing>>,
}

impl Signatures {
    pub(crate) fn sign(&mut self, key: SigningKey) {
        self.key = Some(key);
    }

    pub(crate) fn only_signed_replies(&mut self, ring: KeyRing) {
        self.replies = Some(Arc::new(ring));
    }

    pub(crate) fn within(mut self, namespace: &str) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Refuses a bus that would get no reply that it believes.
    pub(crate) fn check(&self) -> Result<(), SetupError> {
        let reason = match &self.replies {
            Some(_) if self.key.is_none() => {
                "needs `sign` beside it: who does not sign gets replies that are not signed"
            }
            Some(ring) if ring.is_empty() => "the ring has no key, so that no reply is believed",
            _ => return Ok(()),
        };
        Err(SetupError::setting("only_signed_replies", reason))
    }

    /// The header that signs a call, if this bus signs.
    pub(crate) fn header(
        &self,
        request: &CallRequest,
        app_id: &Text,
        inbox: &Text,
    ) -> Option<(Text, Text)> {
        let key = self.key.as_ref()?;
        Some(request::header_of(
            key,
            &self.namespace,
            request,
            app_id,
            inbox,
        ))
    }

    /// Signs a message anew, in place of whoever did before.
    pub(crate) fn sign_again(&self, queue: &str, message: &mut Message, until: Option<Duration>) {
        message
            .properties
            .retain_headers(|name| name != headers::SIGNATURE);
        if let Some(key) = &self.key {
            let until = until.unwrap_or_else(|| unix_time() + SEND_TTL);
            request::sign_again(key, &self.namespace, queue, message, until);
        }
    }

    /// A reply to a message, signed if this bus signs and so did its caller, who can read it then.
    pub(crate) fn reply(&self, queue: &str, message: &Message, id: CallId, frame: Bytes) -> Bytes {
        let Some(key) = &self.key else {
            return frame;
        };
        if message.properties.header(headers::SIGNATURE).is_none() {
            return frame;
        }
        let method = message.properties.kind.as_deref().unwrap_or_default();
        let answered = self.answered(queue, method, id);
        reply::sign(key, answered, request_digest(&message.body), &frame)
    }

    /// `true` if only signed replies are believed.
    pub(crate) fn check_replies(&self) -> bool {
        self.replies.is_some()
    }

    /// The frame of a reply to a request, if it may be believed.
    pub(crate) fn believed(&self, request: &CallRequest, reply: &Bytes) -> Result<Bytes, Refusal> {
        if !self.check_replies() {
            return Ok(reply.clone());
        }
        let digest = Some(request_digest(&request.body));
        let (queue, method) = (request.queue_name(), request.method.name);
        self.believed_of(queue, method, request.id(), digest, reply)
    }

    /// The same of a call of which no more is known here.
    pub(crate) fn believed_of(
        &self,
        queue: &str,
        method: &str,
        id: CallId,
        digest: Option<[u8; 32]>,
        reply: &Bytes,
    ) -> Result<Bytes, Refusal> {
        let Some(ring) = &self.replies else {
            return Ok(reply.clone());
        };
        reply::believed(ring, self.answered(queue, method, id), digest, reply).or_else(|refusal| {
            // A caller says so itself of a call that it cancels, and has no key of the service.
            match ReplyFrame::decode(reply) {
                Ok((content_type, ReplyFrame::Fault(fault)))
                    if refusal == Refusal::Unsigned && fault.code == FaultCode::Cancelled =>
                {
                    let fault = fault.may_have_been_executed();
                    Ok(ReplyFrame::encode_fault(content_type, &fault))
                }
                _ => Err(refusal),
            }
        })
    }

    fn answered<'a>(&'a self, queue: &'a str, method: &'a str, id: CallId) -> Answered<'a> {
        Answered {
            namespace: &self.namespace,
            queue,
            method,
            id,
        }
    }
}

/// The callers that a service believes: anybody, or those of a ring.
#[derive(Debug, Clone, Default)]
pub(crate) struct Callers(Option<Arc<KeyRing>>);

impl Callers {
    pub(crate) fn of(ring: KeyRing) -> Self {
        Self(Some(Arc::new(ring)))
    }

    /// Refuses to serve what is not covered, or to nobody.
    pub(crate) fn check_service(&self, contract: &ServiceContract) -> Result<(), SetupError> {
        let Some(ring) = &self.0 else { return Ok(()) };
        let refuse = |reason: String| Err(SetupError::setting("only_signed", reason));
        if ring.is_empty() {
            return refuse("the ring has no key, so that nobody could call".to_owned());
        }
        match contract.methods.iter().find(|method| method.job.is_some()) {
            Some(job) => refuse(format!(
                "{}.{} is a job: its messages outlive the time of their signatures",
                contract.name, job.name
            )),
            None => Ok(()),
        }
    }

    /// Refuses a message that is not to be believed; of one that is, its times are those that were
    /// signed.
    pub(crate) fn check(
        &self,
        signatures: &Signatures,
        queue: &str,
        message: &Message,
        envelope: &mut Envelope,
    ) -> Result<(), Fault> {
        let Some(ring) = &self.0 else { return Ok(()) };
        let namespace = &signatures.namespace;
        let checked = request::check(ring, namespace, queue, message);
        let times = checked.and_then(|times| {
            let now = unix_time() + CLOCK_ALLOWANCE;
            let is_due = Duration::from_millis(times.from) <= now;
            is_due.then_some(times).ok_or(Refusal::TooEarly)
        });
        let Times { until, .. } = times
            .map_err(|refusal| Fault::new(FaultCode::Denied, format!("the request: {refusal}")))?;
        let until = Duration::from_millis(until);
        let left = (until + CLOCK_ALLOWANCE).saturating_sub(unix_time());
        envelope.bound(until, Instant::now() + left);
        Ok(())
    }
}
