//! Schemas as JSON: in one order, with and without what is said to people, and their references.

use serde_json::{Map, Value};

/// What begins a reference to a definition.
const REFERENCE: &str = "#/definitions/";

/// Keywords that say something to people, and nothing of what is allowed.
const FOR_PEOPLE: &[&str] = &[
    "$comment",
    "$schema",
    "default",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];

/// Keywords whose value is a map from names, which are no keywords, to schemas.
const BY_NAME: &[&str] = &["properties", "patternProperties", "definitions"];

/// Keywords whose value is a list that stands for a set.
const SETS: &[&str] = &["required", "enum", "type"];

/// The same schema, with its keys and what are sets in order.
pub(super) fn sorted(schema: Value) -> Value {
    mapped(schema, &|_| true)
}

/// The same schema, without what is said to people.
pub(super) fn bare(schema: Value) -> Value {
    mapped(schema, &|keyword| !FOR_PEOPLE.contains(&keyword))
}

/// The name of the definition that a schema is a reference to.
pub(super) fn reference(schema: &Value) -> Option<String> {
    let name = schema.get("$ref")?.as_str()?.strip_prefix(REFERENCE)?;
    // A pointer in a fragment of a URI: escaped as both.
    Some(unescaped(name).replace("~1", "/").replace("~0", "~"))
}

/// A text without the escapes of URIs; one that is none stays as it is.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (first, after)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            bytes.push(high * 16 + low);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

fn mapped(schema: Value, keeps: &dyn Fn(&str) -> bool) -> Value {
    match schema {
        Value::Object(keywords) => {
            let mut keywords: Vec<_> = keywords.into_iter().collect();
            keywords.retain(|(keyword, _)| keeps(keyword));
            keywords.sort_by(|(one, _), (other, _)| one.cmp(other));
            keywords
                .into_iter()
                .map(|(keyword, value)| {
                    let value = match value {
                        Value::Object(named) if BY_NAME.contains(&&*keyword) => {
                            by_name(named, keeps)
                        }
                        Value::Array(mut set) if SETS.contains(&&*keyword) => {
                            set.sort_by_cached_key(Value::to_string);
                            Value::Array(set)
                        }
                        // Not a schema, whatever it looks like.
                        value if keyword == "const" || keyword == "enum" => value,
                        value => mapped(value, keeps),
                    };
                    (keyword, value)
                })
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(items) => items.into_iter().map(|item| mapped(item, keeps)).collect(),
        other => other,
    }
}

fn by_name(named: Map<String, Value>, keeps: &dyn Fn(&str) -> bool) -> Value {
    let mut named: Vec<_> = named.into_iter().collect();
    named.sort_by(|(one, _), (other, _)| one.cmp(other));
    let named = named.into_iter();
    named
        .map(|(name, schema)| (name, mapped(schema, keeps)))
        .collect::<Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_said_to_people_goes_and_fields_that_are_called_so_stay() {
        let schema = json!({
            "title": "Entry", "description": "An entry.", "type": ["null", "object"],
            "properties": { "title": { "type": "string", "description": "Its title." } },
            "required": ["title", "a"],
        });
        let expected = json!({
            "type": ["null", "object"],
            "properties": { "title": { "type": "string" } },
            "required": ["a", "title"],
        });
        assert_eq!(bare(schema), expected);
    }

    #[test]
    fn references_are_read_as_they_are_escaped() {
        let of = |name: &str| reference(&json!({ "$ref": format!("#/definitions/{name}") }));
        assert_eq!(of("Page_of_Entry").as_deref(), Some("Page_of_Entry"));
        assert_eq!(of("a~1b~0c%20d%zz").as_deref(), Some("a/b~c d%zz"));
        assert_eq!(reference(&json!({ "$ref": "#/other/A" })), None);
        assert_eq!(reference(&json!({ "type": "null" })), None);
    }
}
