//! A module in TypeScript: a type for each definition, a class for each service.

use super::{
    alternatives,
    model::{Api, Method, Service, entries},
    names::{TypeNames, identifier},
    reference, types, values,
};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What the module begins with; what it needs at run time is the package.
const RUNTIME: &str = include_str!("../../../templates/client.ts.in");

/// Names that the module has, besides those of types, and types of the language.
const TAKEN: &[&str] = &[
    "Array",
    "Bus",
    "Call",
    "AsyncIterable",
    "CallOptions",
    "FeedCall",
    "Iterable",
    "Omit",
    "Record",
    "StreamCall",
    "StreamOptions",
];

pub(super) fn module(api: &Api<'_>) -> String {
    let mut names = TypeNames::without(TAKEN);
    let mut text = RUNTIME.to_owned();
    for (name, _) in &api.schemas {
        names.of(name);
    }
    for (original, schema) in &api.schemas {
        let (name, is) = (names.of(original), type_of(&mut names, schema));
        let _ = write!(text, "\nexport type {name} = {is};\n");
    }
    for service in &api.services {
        text.push_str(&class(&mut names, service));
    }
    text
}

fn type_of(names: &mut TypeNames, schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        return names.of(name);
    }
    if let Some(values) = values(schema) {
        return union(values.into_iter().map(Value::to_string).collect());
    }
    if let Some(any) = alternatives(schema) {
        return union(any.iter().map(|one| type_of(names, one)).collect());
    }
    if let Some(all) = schema["allOf"].as_array() {
        let all: Vec<String> = all.iter().map(|one| type_of(names, one)).collect();
        return format!("({})", all.join(" & "));
    }
    let types = types(schema).into_iter();
    let types: Vec<String> = types.map(|name| plain(names, name, schema)).collect();
    if types.is_empty() {
        "unknown".to_owned()
    } else {
        union(types)
    }
}

fn plain(names: &mut TypeNames, name: &str, schema: &Value) -> String {
    match name {
        "null" => "null".to_owned(),
        "boolean" => "boolean".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "string" => "string".to_owned(),
        "array" => match &schema["items"] {
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| type_of(names, item)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Null => "unknown[]".to_owned(),
            item => format!("Array<{}>", type_of(names, item)),
        },
        "object" => object(names, schema),
        _ => "unknown".to_owned(),
    }
}

fn object(names: &mut TypeNames, schema: &Value) -> String {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let fields: Vec<String> = entries(&schema["properties"])
        .map(|(field, schema)| {
            let mark = if required.contains(&json!(field)) {
                ""
            } else {
                "?"
            };
            format!("{}{mark}: {}", json!(field), type_of(names, schema))
        })
        .collect();
    if !fields.is_empty() {
        return format!("{{ {} }}", fields.join("; "));
    }
    match &schema["additionalProperties"] {
        Value::Null | Value::Bool(_) => "Record<string, unknown>".to_owned(),
        value => format!("Record<string, {}>", type_of(names, value)),
    }
}

fn class(names: &mut TypeNames, service: &Service<'_>) -> String {
    let name = names.new_one(service.name);
    let methods = service.methods.iter();
    let methods: Vec<String> = methods
        .map(|method| self::method(names, service, method))
        .collect();
    format!(
        "\n/** A client of {name}. */\nexport class {name} {{\n  static readonly QUEUE = {};\n\n  \
         constructor(private readonly bus: Bus) {{}}\n{}}}\n",
        json!(service.queue),
        methods.concat()
    )
}

fn method(names: &mut TypeNames, service: &Service<'_>, method: &Method<'_>) -> String {
    // By name: an argument more must not move the others.
    let arguments = method.arguments.iter().map(|argument| {
        let mark = if argument.is_required { "" } else { "?" };
        let name = json!(argument.name);
        format!("{name}{mark}: {}", type_of(names, argument.schema))
    });
    let mut arguments: Vec<String> = arguments.collect();
    let (mut before, mut fed) = (String::new(), String::new());
    let mut args = if arguments.is_empty() { "{}" } else { "args" };
    if let Some((argument, item)) = method.fed {
        let (name, item) = (json!(argument), type_of(names, item));
        arguments.push(format!("{name}: AsyncIterable<{item}> | Iterable<{item}>"));
        let _ = writeln!(before, "    const {{ {name}: items, ...rest }} = args;");
        (args, fed) = ("rest", ".feed(items)".to_owned());
    }
    let parameter = match &arguments[..] {
        [] => String::new(),
        all => format!("args: {{ {} }}, ", all.join("; ")),
    };
    let reply = type_of(names, method.reply);
    let error = method.error.map(|error| type_of(names, error));
    let (call, options) = match (method.is_stream, method.is_command) {
        (true, _) => ("StreamCall", "StreamOptions"),
        (false, true) => ("Call", "CallOptions"),
        (false, false) => ("Call", "Omit<CallOptions, \"idempotencyKey\">"),
    };
    let returned = if fed.is_empty() { call } else { "FeedCall" };
    let name = identifier(method.name, &["bus", "constructor"]);
    let known = known(service, method);
    format!(
        "\n{}  {name}({parameter}options: {options} = {{}}): {returned}<{reply}> {{\n    const method = \
         {known};\n{before}    return new {call}<{reply}>(this.bus, method, {args}, options){fed};\n  }}\n",
        docs(method.docs, error.as_deref()),
    )
}

/// What the package is told of a method.
fn known(service: &Service<'_>, method: &Method<'_>) -> String {
    let mut known = json!({
        "queue": service.queue,
        "name": method.name,
        "isCommand": method.is_command,
        "timeout": method.timeout_ms,
        "service": service.name,
    });
    if let (Some(key), Some(partitions), Some(known)) =
        (method.key, service.partitions, known.as_object_mut())
    {
        known.insert("key".to_owned(), json!(key));
        known.insert("partitions".to_owned(), json!(partitions));
    }
    if let Some(known) = known.as_object_mut() {
        let optional = [
            ("isRecorded", method.has_own_record.then_some(json!(false))),
            ("isPutOff", method.is_put_off.then_some(json!(true))),
            ("job", method.job_ms.map(|job| json!(job))),
        ];
        known.extend(optional.into_iter().filter_map(|(name, value)| {
            let value = value?;
            Some((name.to_owned(), value))
        }));
    }
    known.to_string()
}

fn docs(docs: &str, error: Option<&str>) -> String {
    let docs = docs.replace("*/", "* /");
    let mut lines: Vec<String> = docs.lines().map(str::to_owned).collect();
    if let Some(error) = error {
        lines.push(format!(
            "@throws HandlerError<{}>",
            error.replace("*/", "* /")
        ));
    }
    if lines.is_empty() {
        return String::new();
    }
    let lines = lines
        .iter()
        .map(|line| format!("   * {line}").trim_end().to_owned() + "\n");
    format!("  /**\n{}   */\n", lines.collect::<String>())
}

fn union(mut types: Vec<String>) -> String {
    types.sort_by_key(|name| name == "null");
    types.dedup();
    types.join(" | ")
}
