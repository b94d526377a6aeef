//! The answer to a request: a value, the handler's own error, or a fault.

use crate::{
    codec::{self, CodecError, ContentType},
    contract::{Never, Outcome},
    error::{Fault, FaultCode},
    limits::REPLY_BYTES_MAX,
    wire::{ReplyFrame, signed_reply::frame_of},
};
use bytes::Bytes;
use std::{fmt, future::Future, pin::Pin, time::Duration};

/// The answer of a handler, or of a layer in its place.
///
/// ```
/// use replybus::{error::FaultCode, server::Answer};
///
/// let refused = Answer::fault(FaultCode::Overloaded, "too many reports at once");
/// assert_eq!(refused.label(), "overloaded");
/// assert!(refused.as_fault().is_some_and(|fault| !fault.may_have_executed));
/// ```
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

    /// `true` if the handler returned a value.
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

    /// One word for it, for metrics and logs.
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
        let frame = frame_of(&frame);
        match ReplyFrame::decode(&frame) {
            Ok((_, ReplyFrame::Ok(_))) => Self(AnswerKind::Ok(frame)),
            Ok((_, ReplyFrame::Handler(_))) => Self(AnswerKind::Handler(frame)),
            Ok((_, ReplyFrame::Fault(fault))) => Self(AnswerKind::Fault(fault)),
            Err(error) => Self::fault(FaultCode::BadReply, format!("the stored answer: {error}")),
        }
    }

    /// The answer that the result of a method is.
    pub(crate) fn of<R: Outcome>(content_type: ContentType, outcome: R) -> Self {
        Self::timed(content_type, outcome, None)
    }

    /// The same, of a service that takes bundles, with the time that the handler took.
    pub(crate) fn timed<R: Outcome>(
        content_type: ContentType,
        outcome: R,
        took: Option<Duration>,
    ) -> Self {
        let micros = took.map(|took| u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        let framed = match outcome.into_result() {
            Ok(value) => {
                ReplyFrame::encode_timed_ok(content_type, &value, micros).map(AnswerKind::Ok)
            }
            Err(error) => ReplyFrame::encode_timed_handler_error(content_type, &error, micros)
                .map(AnswerKind::Handler),
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

/// The future of a handler: its answer, decoded from and encoded to bytes.
pub type AnswerFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;
