//! The interface of a generated server: from a method's position and bytes to an answer.

use crate::{
    codec::{self, CodecError, ContentType},
    contract::{Fingerprint, Outcome, ServiceContract},
    error::{Fault, FaultCode},
    stream::Asked,
    work::{Answer, AnswerFuture},
};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::{fmt, future::Future, sync::Arc};
use tokio::time::Instant;

/// A trait's methods, callable by position. `#[queue_handler]` implements it.
///
/// ```
/// use replybus::{
///     Bus, Never,
///     contract::{MethodContract, MethodKind, ServiceContract},
///     error::FaultCode,
///     queue_handler,
///     server::{Answer, AnswerFuture, Payload, Service},
/// };
/// #
/// # #[queue_handler("greeter.requests")]
/// # pub trait Greeter {
/// #     #[query]
/// #     async fn greet(&self, name: String) -> Result<String, Never>;
/// # }
///
/// /// Refuses every call, while the service itself is being repaired.
/// struct Closed;
///
/// static CONTRACT: ServiceContract = ServiceContract::new(
///     "Greeter",
///     "greeter.requests",
///     &[MethodContract::new("greet", MethodKind::Query)],
/// );
///
/// impl Service for Closed {
///     fn contract(&self) -> &'static ServiceContract {
///         &CONTRACT
///     }
///
///     fn dispatch(&self, _: usize, _: Payload) -> AnswerFuture {
///         Box::pin(async { Answer::fault(FaultCode::Overloaded, "closed until tomorrow") })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::in_memory();
/// let serving = bus.serve(Closed).await?;
/// let refused = GreeterClient::new(&bus).greet("Ada".to_owned()).await.unwrap_err();
/// assert!(!refused.may_have_executed());
/// # serving.shutdown().await?;
/// # Ok(())
/// # }
/// ```
pub trait Service: Send + Sync + 'static {
    /// The contract that is served.
    fn contract(&self) -> &'static ServiceContract;

    /// Runs the method at `method` in the contract.
    fn dispatch(&self, method: usize, payload: Payload) -> AnswerFuture;
}

/// Encoded arguments.
///
/// ```
/// use replybus::{codec, server::Payload};
/// use std::collections::BTreeMap;
///
/// /// The names of a call's arguments, for a log: never their values.
/// fn names(payload: &Payload) -> Vec<String> {
///     type Arguments = BTreeMap<String, serde::de::IgnoredAny>;
///     let arguments: Result<Arguments, _> = codec::decode(payload.content_type(), payload.body());
///     arguments.map(|arguments| arguments.into_keys().collect()).unwrap_or_default()
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    pub(crate) content_type: ContentType,
    pub(crate) body: Bytes,
    /// When its run began, if its caller is to be told how long that took: only callers of a
    /// service that takes bundles are.
    pub(crate) begun: Option<Instant>,
    /// Of a method whose answer, or one of whose arguments is a stream.
    pub(crate) stream: Option<Arc<Asked>>,
    /// That of the method, which a caller is told whose arguments can't be read.
    pub(crate) fingerprint: Option<Fingerprint>,
}

impl Payload {
    /// The encoding of the arguments, and of the answer.
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

/// Decodes the arguments, runs the handler, encodes its outcome. Called by generated code.
pub fn answer<A, R, F, Fut>(payload: Payload, handler: F) -> AnswerFuture
where
    A: DeserializeOwned + Send + 'static,
    R: Outcome,
    F: FnOnce(A) -> Fut + Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    Box::pin(async move {
        let Payload {
            content_type,
            body,
            begun,
            stream: _,
            fingerprint,
        } = payload;
        match codec::decode::<A>(content_type, &body) {
            Ok(arguments) => {
                drop(body);
                let outcome = handler(arguments).await;
                Answer::timed(content_type, outcome, begun.map(|begun| begun.elapsed()))
            }
            Err(error) => unreadable(&error, fingerprint),
        }
    })
}

/// The answer to arguments that can't be read.
pub(crate) fn unreadable(error: &CodecError, fingerprint: Option<Fingerprint>) -> Answer {
    let fault = Fault::new(FaultCode::BadRequest, format!("arguments: {error}"));
    match fingerprint {
        Some(fingerprint) => fault.contract(fingerprint).into(),
        None => fault.into(),
    }
}

/// The answer to a position that the contract does not have.
pub fn no_such_method() -> AnswerFuture {
    Box::pin(std::future::ready(Answer::fault(
        FaultCode::UnknownMethod,
        "no method at this position",
    )))
}
