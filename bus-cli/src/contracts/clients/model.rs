//! What an AsyncAPI document of ours says that a client needs.

use serde_json::Value;
use std::collections::BTreeSet;

/// The services of a document, and the types that they share.
pub(super) struct Api<'a> {
    pub(super) services: Vec<Service<'a>>,
    pub(super) schemas: Vec<(&'a str, &'a Value)>,
}

pub(super) struct Service<'a> {
    pub(super) name: &'a str,
    pub(super) queue: &'a str,
    pub(super) partitions: Option<usize>,
    pub(super) methods: Vec<Method<'a>>,
}

pub(super) struct Method<'a> {
    pub(super) name: &'a str,
    pub(super) docs: &'a str,
    pub(super) is_command: bool,
    /// Its answer is a stream of what the reply is.
    pub(super) is_stream: bool,
    pub(super) timeout_ms: u64,
    /// The time that it may take, of a command that takes long.
    pub(super) job_ms: Option<u64>,
    /// Its handler keeps the record of it.
    pub(super) has_own_record: bool,
    /// Its handler may put it off.
    pub(super) is_put_off: bool,
    /// The argument that is a stream, and the schema of an item.
    pub(super) fed: Option<(&'a str, &'a Value)>,
    pub(super) key: Option<&'a str>,
    /// Those that must be there first.
    pub(super) arguments: Vec<Argument<'a>>,
    pub(super) reply: &'a Value,
    pub(super) error: Option<&'a Value>,
}

pub(super) struct Argument<'a> {
    pub(super) name: &'a str,
    pub(super) schema: &'a Value,
    pub(super) is_required: bool,
}

impl<'a> Api<'a> {
    /// Reads a document.
    pub(super) fn read(document: &'a Value) -> Self {
        let operations = entries(part(document, &["operations"]));
        let channels = entries(part(document, &["channels"]));
        let services = channels
            .filter(|(_, channel)| part(channel, &["bindings", "amqp", "is"]) == "queue")
            .map(|(queue, channel)| {
                let name = part(channel, &["title"]).as_str().unwrap_or(queue);
                let methods = entries(part(channel, &["messages"]));
                let parameters = part(channel, &["parameters", "partition", "enum"]);
                Service {
                    name,
                    queue,
                    partitions: parameters.as_array().map(Vec::len),
                    methods: methods
                        .filter_map(|(method, _)| {
                            let id = format!("{name}.{method}");
                            let mut operations = operations.clone();
                            let (_, operation) = operations.find(|(known, _)| *known == id)?;
                            Method::read(document, &id, method, operation)
                        })
                        .collect(),
                }
            })
            .collect();
        Self {
            services,
            schemas: entries(part(document, &["components", "schemas"])).collect(),
        }
    }
}

impl<'a> Method<'a> {
    fn read(document: &'a Value, id: &str, name: &'a str, operation: &'a Value) -> Option<Self> {
        let about = part(operation, &["x-replybus"]);
        let messages = part(document, &["components", "messages"]);
        let message = |name: &str| messages.get(format!("{id}.{name}"));
        let request = message("request")?;
        let fed = request.get("x-replybus-stream").and_then(|fed| {
            let argument = part(fed, &["argument"]).as_str()?;
            Some((argument, part(fed, &["item"])))
        });
        let is_stream = part(about, &["stream"]) == true;
        let job_ms = part(about, &["job_ms"]).as_u64();
        let body = |name: &str| Some(part(message(name)?, &["payload", "properties", "body"]));
        let required = part(request, &["payload", "required"])
            .as_array()
            .into_iter()
            .flatten();
        let required: BTreeSet<&str> = required.filter_map(Value::as_str).collect();
        let arguments =
            entries(part(request, &["payload", "properties"])).map(|(name, schema)| Argument {
                name,
                schema,
                is_required: required.contains(name),
            });
        let mut arguments: Vec<_> = arguments.collect();
        arguments.sort_by_key(|argument| !argument.is_required);
        Some(Self {
            name,
            docs: part(operation, &["description"])
                .as_str()
                .unwrap_or_default(),
            is_command: part(about, &["kind"]) == "command",
            is_stream,
            timeout_ms: job_ms.or_else(|| part(about, &["timeout_ms"]).as_u64())?,
            job_ms,
            has_own_record: part(about, &["own_record"]) == true,
            is_put_off: part(about, &["put_off"]) == true,
            fed,
            key: part(about, &["key"]).as_str(),
            arguments,
            reply: match is_stream {
                true => part(message("item")?, &["payload"]),
                false => body("reply")?,
            },
            error: body("error"),
        })
    }
}

pub(super) fn entries<'a>(
    value: &'a Value,
) -> impl Iterator<Item = (&'a str, &'a Value)> + Clone + use<'a> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (&**name, value))
}

/// What is at this path; null if there is nothing.
fn part<'a>(of: &'a Value, path: &[&str]) -> &'a Value {
    let step = |of: &'a Value, name: &&str| of.get(*name).unwrap_or(&Value::Null);
    path.iter().fold(of, step)
}
