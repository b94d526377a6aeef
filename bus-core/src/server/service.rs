//! What a generated server implements: from a method's position and bytes to an answer.

use crate::{
    codec::{self, CodecError, ContentType},
    contract::{Never, Outcome, ServiceContract},
    error::{Fault, FaultCode},
    limits::REPLY_BYTES_MAX,
    wire::ReplyFrame,
};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::{fmt, future::Future, pin::Pin};

/// A trait's methods, callable by position. `#[queue_handler]` implements it.
pub trait Service: Send + Sync + 'static {
    /// What is served.
    fn contract(&self) -> &'static ServiceContract;

    /// Runs the method at `method` in the contract.
    fn dispatch(&self, method: usize, payload: Payload) -> AnswerFuture;
}

/// The future of a handler: its answer, decoded from and encoded to bytes.
pub type AnswerFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Encoded arguments.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    pub(crate) content_type: ContentType,
    pub(crate) body: Bytes,
}

impl Payload {
    /// How the arguments are encoded, and the answer is to be.
    #[must_use]
    pub fn content_type(&self) -> ContentType {
        self.content_type
    }

    /// The encoded arguments.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("content_type", &self.content_type)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// What a handler, or a layer in its place, answers.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer(pub(crate) AnswerKind);

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    /// The frame of the handler's value.
    Ok(Bytes),
    /// The frame of the handler's own error.
    Handler(Bytes),
    /// There is none.
    Fault(Fault),
}

impl Answer {
    /// An answer in place of the handler's, such as a layer's refusal.
    #[must_use]
    pub fn fault(code: FaultCode, message: impl Into<String>) -> Self {
        Fault::new(code, message).into()
    }

    /// The answer of a handler that has nothing to say.
    pub(crate) fn done() -> Self {
        Self::of(ContentType::MessagePack, Ok::<(), Never>(()))
    }

    /// Whether the handler returned a value.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self.0, AnswerKind::Ok(_))
    }

    /// The fault, if the handler did not answer.
    #[must_use]
    pub fn as_fault(&self) -> Option<&Fault> {
        match &self.0 {
            AnswerKind::Fault(fault) => Some(fault),
            AnswerKind::Ok(_) | AnswerKind::Handler(_) => None,
        }
    }

    /// A fault that, whatever its code says, can have been executed; any other answer as it is.
    pub(crate) fn may_have_been_executed(self) -> Self {
        match self.0 {
            AnswerKind::Fault(fault) => Self(AnswerKind::Fault(fault.may_have_been_executed())),
            kind => Self(kind),
        }
    }

    /// What happened, in one word, for metrics and logs.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match &self.0 {
            AnswerKind::Ok(_) => "ok",
            AnswerKind::Handler(_) => "handler",
            AnswerKind::Fault(fault) => fault.code.as_str(),
        }
    }

    /// The frame that goes into the store.
    pub(crate) fn encode(&self, content_type: ContentType) -> Bytes {
        match &self.0 {
            AnswerKind::Ok(frame) | AnswerKind::Handler(frame) => frame.clone(),
            AnswerKind::Fault(fault) => ReplyFrame::encode_fault(content_type, fault),
        }
    }

    /// The answer a stored frame holds.
    pub(crate) fn decode(frame: Bytes) -> Self {
        match ReplyFrame::decode(&frame) {
            Ok((_, ReplyFrame::Ok(_))) => Self(AnswerKind::Ok(frame)),
            Ok((_, ReplyFrame::Handler(_))) => Self(AnswerKind::Handler(frame)),
            Ok((_, ReplyFrame::Fault(fault))) => Self(AnswerKind::Fault(fault)),
            Err(error) => Self::fault(FaultCode::BadReply, format!("the stored answer: {error}")),
        }
    }

    fn of<R: Outcome>(content_type: ContentType, outcome: R) -> Self {
        let framed = match outcome.into_result() {
            Ok(value) => ReplyFrame::encode_ok(content_type, &value).map(AnswerKind::Ok),
            Err(error) => {
                ReplyFrame::encode_handler_error(content_type, &error).map(AnswerKind::Handler)
            }
        };
        let checked = framed.and_then(|kind| {
            if let AnswerKind::Ok(frame) | AnswerKind::Handler(frame) = &kind {
                codec::check_size(frame.len(), REPLY_BYTES_MAX)?;
            }
            Ok(kind)
        });
        checked.map_or_else(|error| Self::unsendable(&error), Self)
    }

    fn unsendable(error: &CodecError) -> Self {
        Self::fault(
            FaultCode::BadReply,
            format!("the answer can't be sent: {error}"),
        )
    }
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        Self(AnswerKind::Fault(fault))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            AnswerKind::Ok(frame) => write!(f, "Ok({} bytes)", frame.len()),
            AnswerKind::Handler(frame) => write!(f, "Handler({} bytes)", frame.len()),
            AnswerKind::Fault(fault) => write!(f, "{fault:?}"),
        }
    }
}

/// Decodes the arguments, runs the handler, encodes its outcome. Called by generated code.
pub fn answer<A, R, F, Fut>(payload: Payload, handler: F) -> AnswerFuture
where
    A: DeserializeOwned + Send + 'static,
    R: Outcome,
    F: FnOnce(A) -> Fut + Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    Box::pin(async move {
        let Payload { content_type, body } = payload;
        match codec::decode::<A>(content_type, &body) {
            Ok(arguments) => {
                drop(body);
                Answer::of(content_type, handler(arguments).await)
            }
            Err(error) => Answer::fault(FaultCode::BadRequest, format!("arguments: {error}")),
        }
    })
}

/// The answer to a position that the contract does not have.
pub fn no_such_method() -> AnswerFuture {
    Box::pin(std::future::ready(Answer::fault(
        FaultCode::UnknownMethod,
        "no method at this position",
    )))
}
