//! The argument itself, as generated code knows it: its type, and the way to a handler that has one.

use super::super::Asked;
use crate::{
    codec,
    contract::Outcome,
    error::{CallFailure, FaultCode},
    server::{Payload, service::unreadable},
    stream::Items,
    work::{Answer, AnswerFuture},
};
use serde::{Serialize, de::DeserializeOwned};
use std::future::Future;

/// The type of an argument that is marked `#[stream]`: [`Items<T>`](Items), of a type that travels.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a stream of items",
    label = "not an `Items<T>` of a type that travels",
    note = "an argument marked `#[stream]` is a `replybus::stream::Items<T>`, and `T` derives Serialize and Deserialize and is Send"
)]
pub trait StreamArgument: Send + 'static {
    /// An item.
    type Item: Serialize + DeserializeOwned + Send + 'static;

    /// The argument, of what arrives.
    fn of_items(items: Items<Self::Item>) -> Self;
}

impl<T> StreamArgument for Items<T, CallFailure>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    type Item = T;

    fn of_items(items: Self) -> Self {
        items
    }
}

/// Decodes the arguments, has the caller send the stream that is one of them, and runs the handler.
/// Called by generated code.
pub fn answer_fed<A, S, R, F, Fut>(payload: Payload, handler: F) -> AnswerFuture
where
    A: DeserializeOwned + Send + 'static,
    S: StreamArgument,
    R: Outcome,
    F: FnOnce(A, S) -> Fut + Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    Box::pin(async move {
        let Payload {
            content_type,
            body,
            begun: _,
            stream,
            fingerprint,
        } = payload;
        let Some(Asked::Argument(invitation)) = stream.as_deref() else {
            return Answer::fault(FaultCode::BadRequest, "nothing says how its stream is sent");
        };
        let arguments = match codec::decode::<A>(content_type, &body) {
            Ok(arguments) => arguments,
            Err(error) => return unreadable(&error, fingerprint),
        };
        drop(body);
        let items = match invitation.accept(content_type).await {
            Ok(items) => S::of_items(items),
            Err(fault) => return fault.into(),
        };
        // How long it takes is its caller's matter, and says nothing of calls that leave together.
        Answer::of(content_type, handler(arguments, items).await)
    })
}
