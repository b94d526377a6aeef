//! Typed clients in other languages, from an AsyncAPI document of ours.

mod model;
mod names;
mod python;
mod typescript;

use clap::ValueEnum;
use model::Api;
use serde_json::Value;

/// A language that clients are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// A module for Python 3.11 or later, on pika and redis
    Python,
    /// A module for Node.js, on amqplib and ioredis
    Typescript,
}

/// The text of the module.
pub(super) fn client(asyncapi: &Value, language: Language) -> String {
    let api = Api::read(asyncapi);
    match language {
        Language::Python => python::module(&api),
        Language::Typescript => typescript::module(&api),
    }
}

/// The name of the definition that a schema refers to.
fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.rsplit('/').next()
}

/// The types that a schema names: none if it names none.
fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("properties").is_some() => vec!["object"],
        _ => Vec::new(),
    }
}

/// The values that a schema lists.
fn values(schema: &Value) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema["enum"].as_array()) {
        (Some(only), _) => Some(vec![only]),
        (None, Some(listed)) => Some(listed.iter().collect()),
        (None, None) => None,
    }
}

/// The schemas of which a value has any.
fn alternatives(schema: &Value) -> Option<&Vec<Value>> {
    let any = schema.get("anyOf").or_else(|| schema.get("oneOf"));
    any.and_then(Value::as_array)
}
