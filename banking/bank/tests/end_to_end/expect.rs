//! What a test expects of an answer, and how it waits for what comes later.

use serde_json::Value;
use std::{future::Future, time::Duration};
use tokio::time::{Instant, sleep};
use town::{Answer, Ask, Bank, Customer};

/// Within this whatever a test waits for has happened, on a machine that does much else.
const AT_MOST: Duration = Duration::from_secs(240);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A new customer at the first gateway.
pub(crate) async fn customer(bank: &Bank, name: &str) -> Customer {
    Customer::new(bank.visitor(), name).await.unwrap()
}

/// The body of a success.
#[track_caller]
pub(crate) fn ok(answer: Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

/// Asserts that an answer is this refusal, in the form that all have.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, detail: &str) {
    let said = (answer.status, answer.detail());
    assert_eq!(said, (status, detail), "{}", answer.text);
    refusal(answer);
}

/// Asserts that an answer refuses with this status, and names a field.
#[track_caller]
pub(crate) fn names(answer: &Answer, status: u16, field: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(
        answer.detail().starts_with(&format!("{field}: ")),
        "{}",
        answer.text
    );
    refusal(answer);
}

#[track_caller]
fn refusal(answer: &Answer) {
    let fields: Vec<_> = answer.body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["detail"]);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-correlation-id").len(), 36);
}

/// Sends requests at once; the answers are in their order.
pub(crate) async fn all(asks: impl IntoIterator<Item = Ask>) -> Vec<Answer> {
    let sent = asks.into_iter().map(Ask::send);
    futures_util::future::try_join_all(sent).await.unwrap()
}

/// Waits until `look` has something, and returns it.
#[track_caller]
pub(crate) fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    look: impl Fn() -> F,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + AT_MOST;
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            assert!(
                Instant::now() < end,
                "not within {AT_MOST:?}: {what} ({caller})"
            );
            sleep(LOOK_EVERY).await;
        }
    }
}

/// The same, for what comes by itself.
pub(crate) async fn soon<T>(what: &str, comes: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(AT_MOST, comes).await;
    came.unwrap_or_else(|_| panic!("not within {AT_MOST:?}: {what}"))
}
