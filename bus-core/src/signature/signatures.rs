//! What a bus signs, and what it believes; of what it serves see `serving`.

use super::{
    frames::{Believed, FrameSignatures, Stream},
    key::SigningKey,
    reply::{self, Answered, request_digest},
    request,
    ring::{KeyRing, Refusal},
};
use crate::{
    call_id::CallId,
    client::CallRequest,
    contract::unix_time,
    error::{FaultCode, SetupError},
    limits::SEND_TTL,
    message::{Message, Text},
    wire::{ReplyFrame, headers},
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

/// The signatures of one bus. Clones share what is in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signatures {
    pub(super) namespace: Arc<str>,
    pub(super) key: Option<SigningKey>,
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

    /// Those of the frames of a stream that a call has: what its service says of it is believed as
    /// its reply is.
    pub(crate) fn of_stream(&self, request: &CallRequest) -> FrameSignatures {
        let believed = match &self.replies {
            Some(ring) => Believed::OfRing(Arc::clone(ring)),
            None => Believed::Anybodys,
        };
        FrameSignatures::of(self.key.clone(), believed, || Stream {
            namespace: Arc::clone(&self.namespace),
            queue: (&**request.queue_name()).into(),
            method: request.method.name.into(),
            call: request.id(),
            request: request_digest(&request.body),
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
