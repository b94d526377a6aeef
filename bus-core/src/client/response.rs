//! The response to a request, on its way back through the client's layers.

use crate::{cache::CacheStatus, codec::ContentType, wire::ReplyFrame};

/// The response to a [`CallRequest`](super::CallRequest): the reply of the handler, its value or
/// its own error, or the broker's word that it has the request. Everything else that can come of a
/// call is an error, a [`CallFailure`](crate::CallFailure); [`CallOutcome`](super::CallOutcome)
/// tells all of it apart. What a layer returns that answers in the service's place:
///
/// ```
/// use replybus::{
///     Bus, ContentType, Never,
///     client::{CallRequest, CallResponse, ClientService},
///     error::BoxError,
///     queue_handler,
///     wire::ReplyFrame,
/// };
///
/// #[queue_handler("rates.requests")]
/// pub trait Rates {
///     #[query]
///     async fn euro_in_cents(&self) -> Result<u64, Never>;
/// }
///
/// /// Knows the answer, so that no request is sent.
/// async fn known(_: CallRequest) -> Result<CallResponse, BoxError> {
///     let content_type = ContentType::MessagePack;
///     let frame = ReplyFrame::encode_ok(content_type, &100)?;
///     Ok(CallResponse::replied(ReplyFrame::decode(&frame)?))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = tower::layer::layer_fn(|_: ClientService| tower::service_fn(known));
/// let rates = RatesClient::new(&Bus::in_memory()).layer(layer);
/// assert_eq!(rates.euro_in_cents().await?, 100);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallResponse {
    reply: Option<(ContentType, ReplyFrame)>,
    repeated: bool,
    cache: Option<CacheStatus>,
}

impl CallResponse {
    /// The response that is a reply, as [`ReplyFrame::decode`] reads it.
    #[must_use]
    pub fn replied(reply: (ContentType, ReplyFrame)) -> Self {
        Self {
            reply: Some(reply),
            repeated: false,
            cache: None,
        }
    }

    /// The response to a request that the broker has, and to which nobody waits for a reply here.
    #[must_use]
    pub fn accepted() -> Self {
        Self {
            reply: None,
            repeated: false,
            cache: None,
        }
    }

    pub(super) fn of_copies(self, repeated: bool) -> Self {
        Self { repeated, ..self }
    }

    pub(crate) fn cached(self, status: CacheStatus) -> Self {
        let cache = Some(status);
        Self { cache, ..self }
    }

    /// Where the answer came from, if it is one of a query with a
    /// [cache](crate::contract::CachePolicy).
    #[must_use]
    pub fn cache(&self) -> Option<CacheStatus> {
        self.cache
    }

    /// The reply and its encoding; `None` if the request was only accepted.
    #[must_use]
    pub fn reply(&self) -> Option<(ContentType, &ReplyFrame)> {
        let (content_type, frame) = self.reply.as_ref()?;
        Some((*content_type, frame))
    }

    pub(super) fn into_reply(self) -> Option<(ContentType, ReplyFrame)> {
        self.reply
    }

    /// True if more than one copy of the request may have reached the broker. Then what a fault in
    /// the reply says of one copy, such as that it was not run, need not hold for another.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        self.repeated
    }
}
