//! What a test expects of an answer.

use serde_json::Value;
use town::{Answer, Bank, Customer, Request};

/// A new customer at the first gateway.
pub(crate) async fn customer(bank: &Bank, name: &str) -> Customer {
    town::customer(bank.client(), name).await.unwrap()
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
pub(crate) async fn all(asks: impl IntoIterator<Item = Request>) -> Vec<Answer> {
    let sent = asks.into_iter().map(Request::send);
    futures_util::future::try_join_all(sent).await.unwrap()
}
