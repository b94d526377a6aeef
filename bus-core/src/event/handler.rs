//! The handler of an event, and its repetition while it returns an error.

use super::Event;
use crate::{
    codec::{self, ContentType},
    context::Context,
    error::FaultCode,
    work::{Answer, Pauses},
};
use std::{fmt, future::Future, pin::Pin, time::Duration};
use tokio::time::{Instant, sleep};

/// First and longest pause before a handler that returned an error runs again; each is twice as
/// long as the one before.
const TRY_AGAIN_MIN: Duration = Duration::from_millis(100);
const TRY_AGAIN_MAX: Duration = Duration::from_secs(5);

/// The handler of an event: an async closure or function of the event, returning `()` or a
/// `Result`.
pub trait SubscribeHandler<E>: Send + Sync + 'static {
    /// Handles one event.
    fn handle(&self, event: E) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
}

impl<E, F, Fut> SubscribeHandler<E> for F
where
    F: Fn(E) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: EventOutcome,
{
    fn handle(&self, event: E) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        let future = self(event);
        Box::pin(async move { future.await.into_result() })
    }
}

/// The result of an event's handler: `()`, or a `Result` whose error has it run again.
#[diagnostic::on_unimplemented(
    message = "a handler of events can't return `{Self}`",
    note = "it returns `()`, or `Result<(), E>` where `E` can be displayed"
)]
pub trait EventOutcome {
    /// Nothing, or why the event was not handled.
    fn into_result(self) -> Result<(), String>;
}

impl EventOutcome for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display> EventOutcome for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// Runs a handler, again while it returns an error and `retry_within` is not over.
pub(super) async fn handle<E: Event, H: SubscribeHandler<E>>(
    handler: &H,
    content_type: ContentType,
    body: &[u8],
    retry_within: Duration,
) -> Answer {
    let context = Context::current();
    let until = Instant::now() + retry_within;
    let mut pauses = Pauses::new(TRY_AGAIN_MIN, TRY_AGAIN_MAX);
    loop {
        let event = match codec::decode(content_type, body) {
            Ok(event) => event,
            Err(error) => return Answer::fault(FaultCode::BadRequest, format!("event: {error}")),
        };
        let Err(error) = handler.handle(event).await else {
            return Answer::done();
        };
        let pause = pauses.next();
        let left = Instant::now() + pause <= until;
        if left {
            let id = context.call_id().map(tracing::field::display);
            tracing::warn!(
                event = E::ROUTING_KEY,
                id,
                error,
                "an event's handler failed, and runs again"
            );
        }
        // Once it is cancelled, the event is somebody else's to handle.
        let again = left
            && tokio::select! {
                biased;
                () = context.cancelled() => false,
                () = sleep(pause) => true,
            };
        if !again {
            return Answer::fault(FaultCode::Failed, format!("the handler failed: {error}"));
        }
    }
}
