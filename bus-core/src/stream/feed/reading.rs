//! The handler's end of a stream of arguments: its reader is there before the handler is called.

use crate::{
    bus::BusInner,
    call_id::CallId,
    client::request::CallInfo,
    codec::ContentType,
    context::Context,
    contract::Never,
    error::{CallError, Fault, FaultCode},
    limits::{CALL_TIMEOUT_MAX, STREAMS_MAX},
    message::{Properties, Text},
    reply::ReplyTarget,
    signature::FrameSignatures,
    stream::{
        Items, Streaming, any_number, inbox::Ended, keeper::Towards, streaming::Slot, window_of,
    },
    wire::headers,
};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use std::{fmt, sync::Arc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// What the request of a call says that has a stream for its handler.
pub(crate) struct Invitation {
    bus: Arc<BusInner>,
    id: CallId,
    /// The caller's.
    inbox: Text,
    window: u32,
    /// Whoever runs it has the call's claim, and no other has.
    is_claimed: bool,
    signatures: FrameSignatures,
    /// Fired when its service gives back what it has.
    leaving: CancellationToken,
}

impl Invitation {
    pub(crate) fn read(
        bus: &Arc<BusInner>,
        id: CallId,
        target: &ReplyTarget,
        properties: &Properties,
        is_claimed: bool,
        signatures: FrameSignatures,
        leaving: &CancellationToken,
    ) -> Result<Self, Fault> {
        let bad = |text: &str| Fault::new(FaultCode::BadRequest, text);
        let ReplyTarget::Inbox(inbox) = target else {
            return Err(bad("an argument is a stream, whose sender needs an inbox"));
        };
        let window = properties.header(headers::STREAM).map(str::parse::<u32>);
        let Some(Ok(window)) = window else {
            let text = "an argument is a stream: header x-replybus-stream says how many bytes its sender would be ahead";
            return Err(bad(text));
        };
        Ok(Self {
            bus: Arc::clone(bus),
            id,
            inbox: inbox.clone(),
            window: window_of(window),
            is_claimed,
            signatures,
            leaving: leaving.clone(),
        })
    }

    /// Becomes the reader of the stream, and waits until its caller has begun to send it to this
    /// one.
    ///
    /// # Errors
    /// It does not: there are too many streams, the caller has left, or another run has the stream.
    pub(super) async fn accept<T: DeserializeOwned + Send + 'static>(
        &self,
        content_type: ContentType,
    ) -> Result<Items<T>, Fault> {
        let context = Context::current();
        let now = Instant::now();
        let until = context.deadline().unwrap_or(now + CALL_TIMEOUT_MAX);
        let info = CallInfo {
            service: context.service().into(),
            method: context.method().into(),
            id: self.id,
            started: now,
            timeout: until.saturating_duration_since(now),
        };
        let (bus, signatures) = (Arc::clone(&self.bus), self.signatures.clone());
        let Ok(slot) = Slot::take(bus, CallId::new(), info, self.window, signatures) else {
            let text = format!("{STREAMS_MAX} streams are being read");
            return Err(Fault::new(FaultCode::Overloaded, text));
        };
        let towards = Towards::Caller {
            inbox: self.inbox.clone(),
            call: self.id,
            holds_claim: self.is_claimed,
            leaving: self.leaving.clone(),
        };
        let items: Streaming<T, Never> = slot.open(content_type, any_number(), towards);
        tokio::select! {
            biased;
            begun = items.begun() => begun.map_err(not_begun)?,
            () = context.cancelled() => return Err(refused("it was cancelled")),
            () = sleep_until(until) => return Err(refused("its time has passed")),
        }
        Ok(Items::new(items.map(|item| {
            item.map_err(|error| match error {
                CallError::Bus(failure) => failure,
                CallError::Handler(never) => match never {},
            })
        })))
    }
}

fn not_begun(ended: Ended) -> Fault {
    match ended {
        Ended::Failed(_, reason) => refused(&reason),
        Ended::Said(_) => refused("its caller has left, or has its answer"),
    }
}

/// The fault of a run whose handler was not called. What earlier runs did is said by their claim.
fn refused(why: &str) -> Fault {
    let text = format!("its stream did not begin: {why}");
    Fault::new(FaultCode::Cancelled, text)
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation")
            .field("id", &self.id)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
