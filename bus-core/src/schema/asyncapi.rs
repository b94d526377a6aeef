//! Contracts as an AsyncAPI 3 document: a channel for each queue, one for the replies to it, an
//! operation for each method, and what travels in all of them.

use super::{
    Contracts,
    document::{
        Definitions, Document, EventSchema, FedSchema, Kind, MethodSchema, ServiceSchema,
        TypeSchema,
    },
    json::reference,
};
use crate::error::FaultCode;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What a definition is called as it is written, where that is another form.
const WRITTEN: &str = "-written";

/// The message of all errors that are not a handler's own.
const FAULT: &str = "replybus.fault";

impl Contracts {
    /// These contracts as an [AsyncAPI](https://www.asyncapi.com) 3.0 document, in JSON of many lines:
    /// for documentation, and for programs in other languages. `title` and `version` are those of the
    /// system that it describes. What travels beside the bodies is in the documentation of the wire
    /// protocol; bodies are described in their JSON form.
    ///
    /// ```
    /// # use replybus::{Never, queue_handler, schema::Contracts};
    /// # #[queue_handler("rates.requests")]
    /// # pub trait Rates {
    /// #     #[query]
    /// #     async fn rate(&self, currency: String) -> Result<u64, Never>;
    /// # }
    /// let contracts = Contracts::builder().service(RatesClient::CONTRACT).build()?;
    /// let document = contracts.to_asyncapi("Rates of the bank", "1.4.0");
    /// assert!(document.contains(r#""asyncapi": "3.0.0""#));
    /// # Ok::<(), replybus::schema::SchemaError>(())
    /// ```
    #[must_use]
    pub fn to_asyncapi(&self, title: &str, version: &str) -> String {
        let mut exported = Exported::new(&self.0);
        for service in &self.0.services {
            exported.service(service);
        }
        for event in &self.0.events {
            exported.event(event);
        }
        let document = exported.document(title, version);
        // Its keys are texts: there is nothing that JSON does not hold.
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// The parts of the document.
struct Exported<'a> {
    definitions: &'a Definitions,
    /// The definitions that are written in another form than they are read in, or refer to one.
    rewritten: BTreeSet<String>,
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
}

/// A reference to a part of the document.
fn to(parts: &[&str]) -> Value {
    let path: Vec<String> = parts.iter().map(|part| escaped(part)).collect();
    json!({ "$ref": format!("#/{}", path.join("/")) })
}

/// A name as JSON pointers have it.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A name as keys of components may be.
fn key(name: &str) -> String {
    name.replace(
        |c: char| !c.is_ascii_alphanumeric() && !".-_".contains(c),
        "_",
    )
}

/// Sets an entry of an object.
fn set(of: &mut Value, name: &str, value: Value) {
    if let Some(entries) = of.as_object_mut() {
        entries.insert(name.to_owned(), value);
    }
}

impl<'a> Exported<'a> {
    fn new(document: &'a Document) -> Self {
        Self {
            definitions: &document.definitions,
            rewritten: document.definitions.rewritten(),
            channels: Map::new(),
            operations: Map::new(),
            messages: Map::from_iter([(FAULT.to_owned(), fault())]),
        }
    }

    fn service(&mut self, service: &ServiceSchema) {
        let replies = format!("{}.replies", service.queue);
        let (mut requests, mut answers) = (Map::new(), Map::new());
        let message = |of: String| to(&["components", "messages", &of]);
        for (name, method) in &service.methods {
            let base = format!("{}.{name}", service.service);
            let mut listed = Vec::new();
            for part in self.method(&base, name, method) {
                let answer = format!("{name}.{part}");
                listed.push(to(&["channels", &replies, "messages", &answer]));
                answers.insert(answer, message(format!("{base}.{part}")));
            }
            listed.push(to(&["channels", &replies, "messages", FAULT]));
            requests.insert(name.clone(), message(format!("{base}.request")));
            let operation = operation(&service.queue, &replies, name, method, &listed);
            self.operations.insert(base, operation);
        }
        answers.insert(FAULT.to_owned(), message(FAULT.to_owned()));
        let channel = channel(service, &requests);
        self.channels.insert(service.queue.clone(), channel);
        self.channels.insert(
            replies,
            json!({
                "address": null,
                "title": format!("Replies of {}", service.service),
                "description": "A Redis stream, named by `reply_to`, or without it the key \
                    `response:` and the id of the call.",
                "messages": answers,
            }),
        );
    }

    /// Adds the messages of a method; gives the names of those that are answers.
    fn method(&mut self, base: &str, name: &str, method: &MethodSchema) -> Vec<&'static str> {
        let mut request = json!({
            "name": name,
            "contentType": "application/json",
            "correlationId": to(&["components", "correlationIds", "call"]),
            "headers": request_headers(name),
            "payload": self.read(&method.arguments),
            "bindings": { "amqp": { "messageType": name, "bindingVersion": "0.3.0" } },
        });
        if let Some(FedSchema { argument, item }) = &method.fed {
            let stream = json!({ "argument": argument, "item": self.read(item) });
            set(&mut request, "x-replybus-stream", stream);
        }
        let reply = self.written(&method.reply);
        let value = if method.stream { "item" } else { "reply" };
        let mut answers = vec![value];
        let payload = match method.stream {
            true => reply,
            false => framed(&json!({ "status": { "const": "ok" }, "body": reply })),
        };
        let mut messages = vec![("request", request), (value, answer(name, &payload))];
        if let Some(error) = &method.error {
            let body = self.written(error);
            let payload = framed(&json!({
                "status": { "const": "error" }, "code": { "const": "handler" }, "body": body,
            }));
            messages.push(("error", answer(name, &payload)));
            answers.push("error");
        }
        for (part, message) in messages {
            self.messages.insert(format!("{base}.{part}"), message);
        }
        answers
    }

    fn event(&mut self, event: &EventSchema) {
        let name = &event.event;
        let message = json!({
            "name": name,
            "contentType": "application/json",
            "payload": self.written(&event.body),
            "bindings": { "amqp": { "messageType": name, "bindingVersion": "0.3.0" } },
        });
        self.messages.insert(name.clone(), message);
        let channel = json!({
            "address": name,
            "messages": { name: to(&["components", "messages", name]) },
            "bindings": { "amqp": {
                "is": "routingKey",
                "exchange": { "name": event.exchange, "type": "topic", "durable": true, "autoDelete": false },
                "bindingVersion": "0.3.0",
            } },
        });
        self.channels.insert(name.clone(), channel);
        let operation = json!({
            "action": "send",
            "channel": to(&["channels", name]),
            "messages": [to(&["channels", name, "messages", name])],
        });
        self.operations.insert(format!("emit.{name}"), operation);
    }

    fn read(&self, schema: &TypeSchema) -> Value {
        self.moved(schema.view(self.definitions.read_view()), false)
    }

    fn written(&self, schema: &TypeSchema) -> Value {
        self.moved(schema.view(self.definitions.written_view()), true)
    }

    /// A schema whose references are to the components of the document.
    fn moved(&self, schema: &Value, is_written: bool) -> Value {
        if let Some(name) = reference(schema) {
            let suffix = if is_written && self.rewritten.contains(&name) {
                WRITTEN
            } else {
                ""
            };
            return to(&["components", "schemas", &format!("{}{suffix}", key(&name))]);
        }
        match schema {
            Value::Object(keywords) => keywords
                .iter()
                .map(|(keyword, value)| (keyword.clone(), self.moved(value, is_written)))
                .collect(),
            Value::Array(items) => items
                .iter()
                .map(|item| self.moved(item, is_written))
                .collect(),
            other => other.clone(),
        }
    }

    fn document(self, title: &str, version: &str) -> Value {
        let mut schemas = Map::new();
        for (name, schema) in &self.definitions.read {
            schemas.insert(key(name), self.moved(schema, false));
        }
        let written = self.definitions.written_view();
        for name in &self.rewritten {
            if let Some(schema) = written.definition(name) {
                schemas.insert(format!("{}{WRITTEN}", key(name)), self.moved(schema, true));
            }
        }
        json!({
            "asyncapi": "3.0.0",
            "info": { "title": title, "version": version },
            "defaultContentType": "application/json",
            "channels": self.channels,
            "operations": self.operations,
            "components": {
                "correlationIds": { "call": { "location": "$message.header#/correlation_id" } },
                "messages": self.messages,
                "schemas": schemas,
            },
        })
    }
}

impl Definitions {
    /// The names of what is written in another form than it is read in, or refers to such.
    fn rewritten(&self) -> BTreeSet<String> {
        let mut rewritten: BTreeSet<String> = self.written.keys().cloned().collect();
        loop {
            let before = rewritten.len();
            for (name, schema) in &self.read {
                if refers_to(schema, &rewritten) {
                    rewritten.insert(name.clone());
                }
            }
            if rewritten.len() == before {
                return rewritten;
            }
        }
    }
}

fn refers_to(schema: &Value, names: &BTreeSet<String>) -> bool {
    if reference(schema).is_some_and(|name| names.contains(&name)) {
        return true;
    }
    match schema {
        Value::Object(keywords) => keywords.values().any(|value| refers_to(value, names)),
        Value::Array(items) => items.iter().any(|item| refers_to(item, names)),
        _ => false,
    }
}

/// The channel of a service's requests: its queue, or one for each of its partitions, of which the
/// key of a call chooses.
fn channel(service: &ServiceSchema, requests: &Map<String, Value>) -> Value {
    let queue = &service.queue;
    let mut channel = json!({
        "address": queue,
        "title": service.service,
        "messages": requests,
        "bindings": { "amqp": {
            "is": "queue",
            "queue": { "name": queue, "durable": true, "exclusive": false, "autoDelete": false },
            "bindingVersion": "0.3.0",
        } },
    });
    if let Some(partitions) = service.partitions {
        let address = format!("{queue}.{{partition}}");
        let numbers: Vec<String> = (0..partitions).map(|number| number.to_string()).collect();
        let partition = json!({
            "description": "The CRC-32 of the key modulo the number of partitions.",
            "enum": numbers,
        });
        set(&mut channel, "address", json!(address));
        set(
            &mut channel,
            "parameters",
            json!({ "partition": partition }),
        );
    }
    channel
}

/// The operation of a method, whose answers are these.
fn operation(
    queue: &str,
    replies: &str,
    name: &str,
    method: &MethodSchema,
    answers: &[Value],
) -> Value {
    let mut operation = json!({
        "action": "receive",
        "channel": to(&["channels", queue]),
        "messages": [to(&["channels", queue, "messages", name])],
        "reply": {
            "address": { "location": "$message.header#/reply_to" },
            "channel": to(&["channels", replies]),
            "messages": answers,
        },
        "x-replybus": about(method),
    });
    if let Some(docs) = &method.docs {
        let summary = docs.lines().next().unwrap_or_default();
        set(&mut operation, "summary", json!(summary));
        set(&mut operation, "description", json!(docs));
    }
    operation
}

/// What AsyncAPI has no word for.
fn about(method: &MethodSchema) -> Value {
    let mut about = json!({
        "kind": match method.kind { Kind::Query => "query", Kind::Command => "command" },
        "fingerprint": method.fingerprint,
        "timeout_ms": method.timeout_ms,
    });
    let optional = [
        ("job_ms", method.job_ms.map(Value::from)),
        ("key", method.key.clone().map(Value::from)),
        ("own_record", method.own_record.then_some(Value::Bool(true))),
        ("put_off", method.put_off.then_some(Value::Bool(true))),
        ("stream", method.stream.then_some(Value::Bool(true))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            set(&mut about, name, value);
        }
    }
    about
}

fn request_headers(method: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": { "const": method },
            "correlation_id": { "type": "string", "format": "uuid" },
            "reply_to": { "type": "string" },
            "deadline": { "type": "string", "pattern": "^[0-9]+$" },
            "idempotency-key": { "type": "string", "minLength": 1, "maxLength": 255 },
        },
        "required": ["type"],
    })
}

fn answer(method: &str, payload: &Value) -> Value {
    json!({ "name": method, "contentType": "application/json", "payload": payload })
}

/// A reply of these entries, all of which are there.
fn framed(entries: &Value) -> Value {
    let names: Vec<&String> = entries
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .collect();
    json!({ "type": "object", "required": names, "properties": entries })
}

fn fault() -> Value {
    let codes: Vec<&str> = FaultCode::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "name": "fault",
        "title": "The handler did not answer.",
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "required": ["status", "code", "message", "may_have_executed"],
            "properties": {
                "status": { "const": "error" },
                "code": { "type": "string", "examples": codes },
                "message": { "type": "string" },
                "may_have_executed": { "type": "boolean" },
                "retry_after_ms": { "type": "integer", "minimum": 0 },
            },
        },
    })
}
