//! From a request to what its caller gets: the value, or the error, in the reply to it.

use super::{
    ServiceClient,
    cached::{Told, ask_anew},
    request::{CallInfo, CallRequest},
};
use crate::{
    cache::CacheStatus,
    codec::{self, CodecError, ContentType},
    contract::Outcome,
    error::{CallError, FailureKind},
    wire::ReplyFrame,
};
use futures_util::FutureExt as _;
use std::{future::Future, pin::Pin};

/// Makes a call, and waits for what its method returned.
pub(crate) fn answered<R: Outcome>(
    client: ServiceClient,
    request: CallRequest,
) -> impl Future<Output = Result<R::Ok, CallError<R::Err>>> + Send {
    told::<R>(client, request).map(|told| told.map(|(value, _)| value))
}

/// The same, and where the answer came from if it may have been kept.
// Not an `async fn`, which would keep room for its arguments a second time.
#[expect(clippy::manual_async_fn, reason = "see above")]
pub(super) fn told<R: Outcome>(
    client: ServiceClient,
    request: CallRequest,
) -> impl Future<Output = Result<Told<R>, CallError<R::Err>>> + Send {
    async move {
        let response = client.run(&request).await?;
        let (repeated, cache) = (response.is_repeated(), response.cache());
        let read = match response.into_reply() {
            Some(reply) => read_reply::<R>(reply, &request.info(), repeated),
            None => Err(request
                .failure(FailureKind::BadReply)
                .with_cause("a layer answered a call without a reply")
                .into()),
        };
        match read {
            Err(CallError::Bus(failure))
                if failure.kind() == FailureKind::BadReply
                    && cache.is_some_and(CacheStatus::is_reused) =>
            {
                let anew: Pin<Box<dyn Future<Output = _> + Send>> =
                    Box::pin(ask_anew::<R>(client, request));
                anew.await
            }
            read => read.map(|value| (value, cache)),
        }
    }
}

/// The result of a method out of the reply to it; a failure has the name and time of the call.
pub(super) fn read_reply<R: Outcome>(
    reply: (ContentType, ReplyFrame),
    info: &CallInfo,
    repeated: bool,
) -> Result<R::Ok, CallError<R::Err>> {
    let bad = |error: CodecError| info.failure(FailureKind::BadReply).with_cause(error);
    let (content_type, frame) = reply;
    match frame {
        ReplyFrame::Ok(body) => Ok(codec::decode(content_type, &body).map_err(bad)?),
        ReplyFrame::Handler(body) => {
            let error = codec::decode(content_type, &body).map_err(bad)?;
            Err(CallError::Handler(error))
        }
        ReplyFrame::Fault(fault) => Err(info.fault(fault).of_one_copy(repeated).into()),
    }
}
