//! What is shown of a message that anybody may have written: the parts that are known to hold nothing
//! secret, each within bounds. All else is named, and its value is not there.

use contracts::auth::AuthClient;
use serde_json::{Map, Value};

/// What takes the place of a value that is not shown.
const HIDDEN: &str = "(hidden)";
/// Characters of one text.
const TEXT_CHARS_MAX: usize = 300;
/// Objects and lists within each other.
const DEPTH_MAX: usize = 8;
/// Parts of one object or list.
const PARTS_MAX: usize = 64;

/// Names whose values the administrator may see: those of the bank's contracts that are neither
/// secret nor a client's name for its request.
const PLAIN: [&str; 34] = [
    "account",
    "account_number",
    "amount",
    "completed_at",
    "count",
    "created_at",
    "every",
    "first_at",
    "from",
    "from_account_number",
    "id",
    "ids",
    "kind",
    "month",
    "movement",
    "new_balance",
    "order",
    "owner",
    "page",
    "posted_at",
    "reference",
    "search",
    "size",
    "statement",
    "time_zone",
    "times",
    "to",
    "to_account_number",
    "transfer",
    "type",
    "until",
    "user",
    "user_id",
    "username",
];

/// `true` of a queue whose messages hold passwords, so that nothing of what they say is shown, not
/// even of an error, which may repeat it.
pub(super) fn is_secret(queue: &str) -> bool {
    queue == AuthClient::CONTRACT.queue
}

/// Arguments or an event, as they may be shown.
pub(super) fn arguments(value: Value) -> Value {
    shown(value, false, DEPTH_MAX)
}

/// A text of anybody's, on one line and not too long.
pub(super) fn text(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(TEXT_CHARS_MAX)
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    if text.chars().nth(TEXT_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

fn shown(value: Value, is_plain: bool, depth: usize) -> Value {
    if depth == 0 {
        return HIDDEN.into();
    }
    match value {
        Value::Object(parts) => {
            let parts = parts.into_iter().take(PARTS_MAX).map(|(name, part)| {
                let is_plain = PLAIN.contains(&name.as_str());
                (text(&name), shown(part, is_plain, depth - 1))
            });
            Value::Object(parts.collect::<Map<_, _>>())
        }
        Value::Array(parts) => {
            let parts = parts.into_iter().take(PARTS_MAX);
            parts.map(|part| shown(part, is_plain, depth - 1)).collect()
        }
        Value::String(plain) if is_plain => text(&plain).into(),
        Value::Null => Value::Null,
        plain if is_plain => plain,
        _ => HIDDEN.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_known_to_be_no_secret_is_shown() {
        let given = json!({
            "order": {
                "to": { "username": "bob" }, "amount": 5, "key": "the client's",
                "password": "open sesame", "note": "a.b.c", "pin": 1234,
            },
            "ids": ["a", "b"], "secrets": ["hunter2"], "proof": "ey.J0.x", "page": null,
        });
        let expected = json!({
            "order": {
                "to": { "username": "bob" }, "amount": 5, "key": HIDDEN, "password": HIDDEN,
                "note": HIDDEN, "pin": HIDDEN,
            },
            "ids": ["a", "b"], "secrets": [HIDDEN], "proof": HIDDEN, "page": null,
        });
        assert_eq!(arguments(given), expected);
        // A part of what is plain is not plain for that.
        let nested = json!({ "user": { "password": "open sesame" } });
        assert_eq!(arguments(nested), json!({ "user": { "password": HIDDEN } }));
        assert!(is_secret("auth.requests") && !is_secret("account.requests"));
    }

    #[test]
    fn what_is_shown_has_an_end_and_is_one_line() {
        let long = "x".repeat(10_000);
        assert_eq!(text(&long).chars().count(), TEXT_CHARS_MAX + 1);
        assert_eq!(text("two\nlines\u{1b}[2J"), "two lines [2J");
        let mut deep = json!("the end");
        for _ in 0..100 {
            deep = json!({ "order": deep });
        }
        assert!(!arguments(deep).to_string().contains("the end"));
        let many: Value = (0..1_000).collect();
        let shown = arguments(json!({ "ids": many }));
        assert_eq!(shown["ids"].as_array().unwrap().len(), PARTS_MAX);
        assert_eq!(arguments(json!("a secret")), json!(HIDDEN));
    }
}
