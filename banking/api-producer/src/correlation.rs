//! The name by which a client, the log and the services speak of the same request: the id of the
//! first call that was made for it, or one of its own if none was.

use axum::http::{HeaderName, HeaderValue};
use replybus::{CallId, client::CallRequest};
use std::sync::{Arc, OnceLock};
use tower::util::MapRequestLayer;

/// The header that carries it, on every answer.
pub(crate) const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

tokio::task_local! {
    static CURRENT: Correlation;
}

/// The id of one request. Clones are of the same request.
#[derive(Debug, Clone)]
pub(crate) struct Correlation {
    own: CallId,
    first_call: Arc<OnceLock<CallId>>,
}

impl Correlation {
    pub(crate) fn new() -> Self {
        Self {
            own: CallId::new(),
            first_call: Arc::default(),
        }
    }

    /// The id that no call has.
    pub(crate) fn own(&self) -> CallId {
        self.own
    }

    /// The id to tell the client, as of now.
    pub(crate) fn id(&self) -> CallId {
        self.first_call.get().copied().unwrap_or(self.own)
    }

    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.id().to_string())
            .unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Runs what answers the request.
    pub(crate) async fn scope<F: Future>(self, answering: F) -> F::Output {
        CURRENT.scope(self, answering).await
    }
}

/// A layer around clients that notes the id of each request's first call.
pub(crate) fn noting() -> MapRequestLayer<fn(CallRequest) -> CallRequest> {
    MapRequestLayer::new(note)
}

fn note(call: CallRequest) -> CallRequest {
    // Outside a request there is nobody to tell; in one, the calls after the first are not told.
    let _ = CURRENT.try_with(|current| current.first_call.set(call.id()));
    call
}
