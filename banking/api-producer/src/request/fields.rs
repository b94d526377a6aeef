//! A JSON object, field by field, so that what is wrong is said of the field that is wrong. What
//! was sent is not repeated: it may be a password. Unknown fields are ignored.

use super::json::Json;
use crate::problem::Problem;
use contracts::{AccountNumber, Amount, InvalidReference, Reference};
use serde_json::{Map, Value};
use std::str::FromStr;
use uuid::Uuid;

/// A value that can be read from a body.
pub(crate) trait FromFields: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// A field is missing or not as it must be; it is named.
    fn from_fields(fields: &Fields) -> Result<Self, Problem>;
}

/// The fields of a body.
#[derive(Debug)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body. An empty one has no fields.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        if body.is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Json(Value::Object(fields))) => Ok(Self(fields)),
            Ok(_) => Err(Problem::field("body", "a JSON object is needed")),
            Err(error) => {
                // What is well-formed is refused for what it says twice.
                let wrong = if error.is_data() {
                    "a key is there twice"
                } else {
                    "not JSON"
                };
                let place = format!("line {}, column {}", error.line(), error.column());
                Err(Problem::field("body", &format!("{wrong}, at {place}")))
            }
        }
    }

    /// A text that must be there.
    pub(crate) fn text(&self, name: &str) -> Result<String, Problem> {
        self.optional_text(name)?
            .ok_or_else(|| Problem::field(name, "is required"))
    }

    /// A text, if there is one. Forms send what is left empty as an empty text.
    pub(crate) fn optional_text(&self, name: &str) -> Result<Option<String>, Problem> {
        match self.given(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Problem::field(name, "a text is needed")),
        }
    }

    /// One of two texts.
    pub(crate) fn either_text(&self, one: &str, other: &str) -> Result<Either, Problem> {
        match (self.optional_text(one)?, self.optional_text(other)?) {
            (Some(text), None) => Ok(Either::One(text)),
            (None, Some(text)) => Ok(Either::Other(text)),
            (None, None) => Err(Problem::field(one, &format!("it or {other} is required"))),
            (Some(_), Some(_)) => Err(Problem::field(
                one,
                &format!("either it or {other} is allowed, not both"),
            )),
        }
    }

    /// An amount of money.
    pub(crate) fn amount(&self, name: &str) -> Result<Amount, Problem> {
        let value = self
            .given(name)
            .ok_or_else(|| Problem::field(name, "is required"))?;
        // A number with a point or an exponent is none, whatever it amounts to.
        let amount = value.as_i64().and_then(|units| Amount::new(units).ok());
        amount.ok_or_else(|| {
            let max = Amount::MAX;
            Problem::field(
                name,
                &format!("an integer from 1 to {max} (minor units) is needed"),
            )
        })
    }

    /// The reference of a transfer, if there is one. The spaces around it are nobody's intention.
    pub(crate) fn optional_reference(&self, name: &str) -> Result<Option<Reference>, Problem> {
        let text = self.optional_text(name)?;
        let text = text
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty());
        text.map(|text| {
            text.parse()
                .map_err(|_| Problem::field(name, InvalidReference::ALLOWED))
        })
        .transpose()
    }

    /// A text that is read as something, if there is one; `allowed` is what it may be.
    pub(crate) fn optional_parsed<T: FromStr>(
        &self,
        name: &str,
        allowed: &str,
    ) -> Result<Option<T>, Problem> {
        let text = self.optional_text(name)?;
        let parsed = text.map(|text| text.parse());
        parsed
            .transpose()
            .map_err(|_| Problem::field(name, allowed))
    }

    /// The same, of one that must be there.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str, allowed: &str) -> Result<T, Problem> {
        self.optional_parsed(name, allowed)?
            .ok_or_else(|| Problem::field(name, "is required"))
    }

    /// A number that counts something, if there is one.
    pub(crate) fn optional_count(&self, name: &str) -> Result<Option<u32>, Problem> {
        let Some(value) = self.given(name) else {
            return Ok(None);
        };
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        let count = count.filter(|count| *count >= 1);
        count
            .map(Some)
            .ok_or_else(|| Problem::field(name, "an integer from 1 is needed"))
    }

    /// True or false, if it is said.
    pub(crate) fn optional_flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        let flag = self.given(name).map(|value| {
            value
                .as_bool()
                .ok_or_else(|| Problem::field(name, "true or false is needed"))
        });
        flag.transpose()
    }

    /// A list of ids, if there is one.
    pub(crate) fn optional_ids(&self, name: &str) -> Result<Option<Vec<Uuid>>, Problem> {
        let Some(value) = self.given(name) else {
            return Ok(None);
        };
        let id = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let ids = value
            .as_array()
            .and_then(|ids| ids.iter().map(id).collect());
        ids.map(Some)
            .ok_or_else(|| Problem::field(name, "a list of ids (UUIDs) is needed"))
    }

    /// `null` is as good as nothing.
    fn given(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }
}

/// The one of two fields that was given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Either {
    One(String),
    Other(String),
}

/// An account number out of a field.
pub(crate) fn account_number(name: &str, text: &str) -> Result<AccountNumber, Problem> {
    text.parse()
        .map_err(|_| Problem::field(name, "6 to 20 digits are needed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    fn amount_of(json: &str) -> Result<i64, String> {
        let fields = Fields::parse(format!(r#"{{"amount":{json},"more":[1]}}"#).as_bytes());
        let amount = fields.and_then(|fields| fields.amount("amount"));
        amount
            .map(Amount::minor_units)
            .map_err(Problem::into_detail)
    }

    #[test]
    fn only_integers_are_amounts() {
        assert_eq!(amount_of("1"), Ok(1));
        assert_eq!(amount_of("1000000000000"), Ok(Amount::MAX));
        for refused in [
            "0",
            "-1",
            "1.5",
            "1.0",
            "1e2",
            "\"5\"",
            "null",
            "true",
            "[5]",
            "{}",
            "1000000000001",
            "9223372036854775808",
            "18446744073709551616",
            "1e400",
        ] {
            let detail = amount_of(refused).unwrap_err();
            let named = detail.starts_with("amount: ") || detail.starts_with("body: ");
            assert!(named, "{refused}: {detail}");
        }
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for refused in [
            "[]",
            "1",
            "null",
            "\"x\"",
            "{",
            "{}{}",
            "\u{feff}{}",
            "{'a':1}",
        ] {
            let problem = Fields::parse(refused.as_bytes()).unwrap_err();
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
            assert!(problem.into_detail().starts_with("body: "), "{refused}");
        }
        assert!(Fields::parse(&[b'"', 0xff, b'"']).is_err());
        let deep = "[".repeat(10_000);
        assert!(Fields::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused() {
        for refused in [
            r#"{"amount":1,"amount":2}"#,
            r#"{"amount":1,"amount":1}"#,
            r#"{"amount":1,"am\u006funt":2}"#,
            r#"{"amount":1,"x":{"y":[{"z":1,"z":1}]}}"#,
        ] {
            let problem = Fields::parse(refused.as_bytes()).unwrap_err();
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
            let detail = problem.into_detail();
            assert!(
                detail.starts_with("body: a key is there twice, at "),
                "{detail}"
            );
        }
        let once = r#"{"amount":1,"Amount":2,"x":[{"y":1},{"y":1.5}],"z":null}"#;
        assert!(Fields::parse(once.as_bytes()).is_ok());
    }

    #[test]
    fn what_was_sent_is_not_repeated() {
        let fields = Fields::parse(br#"{"password":8675309}"#).unwrap();
        let detail = fields.text("password").unwrap_err().into_detail();
        assert_eq!(detail, "password: a text is needed");
    }

    #[test]
    fn one_of_two_is_needed_and_not_both() {
        let either = |json: &str| {
            let fields = Fields::parse(json.as_bytes()).unwrap();
            fields.either_text("a", "b").map_err(Problem::into_detail)
        };
        assert_eq!(either(r#"{"a":"x"}"#), Ok(Either::One("x".into())));
        assert_eq!(either(r#"{"a":"","b":"y"}"#), Ok(Either::Other("y".into())));
        assert_eq!(
            either(r#"{"a":null,"b":"y"}"#),
            Ok(Either::Other("y".into()))
        );
        for refused in [
            "{}",
            r#"{"a":"x","b":"y"}"#,
            r#"{"a":1}"#,
            r#"{"a":"x","b":1}"#,
        ] {
            assert!(either(refused).is_err(), "{refused}");
        }
    }
}
