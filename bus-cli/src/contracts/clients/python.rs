//! A module in Python: a dictionary type for each struct, a class for each service.

use super::{
    alternatives,
    model::{Api, Method, Service, entries},
    names::{TypeNames, identifier},
    reference, types, values,
};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What the module begins with; what it needs at run time is the package.
const RUNTIME: &str = include_str!("../../../templates/client.py.in");

/// Names that the module has, besides those of types.
const TAKEN: &[&str] = &[
    "Any",
    "Bus",
    "Call",
    "CallOptions",
    "Dict",
    "False",
    "List",
    "Literal",
    "Method",
    "None",
    "NotRequired",
    "StreamCall",
    "True",
    "TypeAlias",
    "TypedDict",
    "Unpack",
];

/// Keywords, what methods of clients have themselves, and types that theirs name. Lists and
/// dictionaries are not among them: a method may well be called `list`, and is annotated with `List`.
const WORDS: &[&str] = &[
    "False",
    "None",
    "True",
    "and",
    "arguments",
    "as",
    "assert",
    "async",
    "await",
    "bool",
    "break",
    "class",
    "content_type",
    "continue",
    "def",
    "del",
    "elif",
    "else",
    "except",
    "finally",
    "float",
    "for",
    "from",
    "global",
    "idempotency_key",
    "if",
    "import",
    "in",
    "int",
    "is",
    "lambda",
    "metadata",
    "nonlocal",
    "not",
    "options",
    "or",
    "pass",
    "priority",
    "raise",
    "return",
    "self",
    "str",
    "timeout",
    "try",
    "while",
    "with",
    "yield",
];

pub(super) fn module(api: &Api<'_>) -> String {
    let mut module = Module {
        names: TypeNames::without(TAKEN),
        text: RUNTIME.to_owned(),
    };
    for (name, _) in &api.schemas {
        module.names.of(name);
    }
    for (name, schema) in &api.schemas {
        module.definition(name, schema);
    }
    for service in &api.services {
        module.service(service);
    }
    module.text
}

struct Module {
    names: TypeNames,
    text: String,
}

/// A text as a literal; JSON's escapes are Python's.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => other.to_string(),
    }
}

impl Module {
    fn line(&mut self, text: &str) {
        // A String takes all that is written.
        let _ = writeln!(self.text, "{text}");
    }

    fn definition(&mut self, original: &str, schema: &Value) {
        let name = self.names.of(original);
        if types(schema) == ["object"] && alternatives(schema).is_none() && has_fields(schema) {
            self.dictionary(&name, schema);
        } else {
            let is = self.type_of(&name, schema);
            // As text: it may name what comes later.
            let is = literal(&json!(is));
            self.line(&format!("\n\n{name}: TypeAlias = {is}"));
        }
    }

    /// A type of dictionaries with these fields, by a call, because fields may be called anything.
    fn dictionary(&mut self, name: &str, schema: &Value) {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let mut fields = Vec::new();
        for (field, schema) in entries(&schema["properties"]) {
            let is = self.type_of(&format!("{name}-{field}"), schema);
            let is = match required.contains(&json!(field)) {
                true => is,
                false => format!("NotRequired[{is}]"),
            };
            fields.push(format!(
                "    {}: {},\n",
                literal(&json!(field)),
                literal(&json!(is))
            ));
        }
        self.line(&format!(
            "\n\n{name} = TypedDict({}, {{\n{}}})",
            literal(&json!(name)),
            fields.concat()
        ));
    }

    /// The type of a schema; what needs a name is called like this.
    fn type_of(&mut self, like: &str, schema: &Value) -> String {
        if let Some(name) = reference(schema) {
            return self.names.of(name);
        }
        if let Some(values) = values(schema) {
            let values: Vec<String> = values.into_iter().map(literal).collect();
            return format!("Literal[{}]", values.join(", "));
        }
        if let Some(any) = alternatives(schema) {
            let any: Vec<String> = any.iter().map(|one| self.type_of(like, one)).collect();
            return union(any);
        }
        let types = types(schema).into_iter();
        let types: Vec<String> = types.map(|name| self.plain(name, like, schema)).collect();
        if types.is_empty() {
            "Any".to_owned()
        } else {
            union(types)
        }
    }

    fn plain(&mut self, name: &str, like: &str, schema: &Value) -> String {
        match name {
            "null" => "None".to_owned(),
            "boolean" => "bool".to_owned(),
            "integer" => "int".to_owned(),
            "number" => "float".to_owned(),
            "string" => "str".to_owned(),
            "array" => {
                let item = match &schema["items"] {
                    Value::Array(_) | Value::Null => "Any".to_owned(),
                    item => self.type_of(like, item),
                };
                format!("List[{item}]")
            }
            "object" if has_fields(schema) => {
                let name = self.names.new_one(like);
                self.dictionary(&name, schema);
                name
            }
            "object" => {
                let value = match &schema["additionalProperties"] {
                    Value::Null | Value::Bool(_) => "Any".to_owned(),
                    value => self.type_of(like, value),
                };
                format!("Dict[str, {value}]")
            }
            _ => "Any".to_owned(),
        }
    }

    fn service(&mut self, service: &Service<'_>) {
        let name = self.names.new_one(service.name);
        let methods: Vec<String> = service
            .methods
            .iter()
            .map(|method| self.method(&name, service, method))
            .collect();
        let queue = literal(&json!(service.queue));
        self.line(&format!(
            "\n\nclass {name}:\n    \"\"\"A client of {name}.\"\"\"\n\n    QUEUE = {queue}\n\n    \
             def __init__(self, bus: Bus) -> None:\n        self._bus = bus\n{}",
            methods.concat()
        ));
    }

    fn method(&mut self, of: &str, service: &Service<'_>, method: &Method<'_>) -> String {
        // By name: an argument more must not move the others.
        let (mut parameters, mut body) = (String::new(), String::new());
        for argument in &method.arguments {
            let name = identifier(argument.name, WORDS);
            let like = format!("{of}-{}-{}", method.name, argument.name);
            let is = self.type_of(&like, argument.schema);
            let wire = literal(&json!(argument.name));
            if argument.is_required {
                let _ = write!(parameters, ", {name}: {is}");
                let _ = writeln!(body, "        arguments[{wire}] = {name}");
            } else {
                let _ = write!(parameters, ", {name}: {is} | None = None");
                let _ = writeln!(
                    body,
                    "        if {name} is not None:\n            arguments[{wire}] = {name}"
                );
            }
        }
        let fed = method.fed.map(|(argument, item)| {
            let name = identifier(argument, WORDS);
            let item = self.type_of(&format!("{of}-{}-{argument}", method.name), item);
            let _ = write!(
                parameters,
                ", {name}: AsyncIterable[{item}] | Iterable[{item}]"
            );
            name
        });
        if !parameters.is_empty() {
            parameters.insert_str(0, ", *");
        }
        let like = format!("{of}-{}", method.name);
        let reply = self.type_of(&format!("{like}-reply"), method.reply);
        let error = method
            .error
            .map(|error| self.type_of(&format!("{like}-error"), error));
        let docs = docs(method.docs, error.as_deref());
        let name = identifier(method.name, WORDS);
        let (call, returned) = match (method.is_stream, &fed) {
            (true, _) => ("StreamCall".to_owned(), "StreamCall"),
            (false, None) => ("Call".to_owned(), "Call"),
            (false, Some(_)) => (format!("Call[{reply}]"), "FeedCall"),
        };
        let fed = fed.map_or_else(String::new, |fed| format!(".feed({fed})"));
        let known = known(service, method);
        format!(
            "\n    def {name}(self{parameters}, **options: Unpack[CallOptions]) -> {returned}[{reply}]:\n\
             {docs}        arguments: Dict[str, Any] = {{}}\n{body}        return {call}(self._bus, \
             {known}, arguments, options){fed}\n"
        )
    }
}

/// What the package is told of a method.
fn known(service: &Service<'_>, method: &Method<'_>) -> String {
    let seconds = std::time::Duration::from_millis(method.timeout_ms).as_secs_f64();
    let mut known = format!(
        "Method(self.QUEUE, {}, is_command={}, timeout={seconds:?}, service={}",
        literal(&json!(method.name)),
        literal(&json!(method.is_command)),
        literal(&json!(service.name)),
    );
    if let (Some(key), Some(partitions)) = (method.key, service.partitions) {
        let key = literal(&json!(key));
        let _ = write!(known, ", key={key}, partitions={partitions}");
    }
    if method.has_own_record {
        known.push_str(", is_recorded=False");
    }
    if method.is_put_off {
        known.push_str(", is_put_off=True");
    }
    if let Some(job_ms) = method.job_ms {
        let seconds = std::time::Duration::from_millis(job_ms).as_secs_f64();
        let _ = write!(known, ", job={seconds:?}");
    }
    known.push(')');
    known
}

fn docs(docs: &str, error: Option<&str>) -> String {
    let docs = docs.replace('\\', "\\\\").replace("\"\"\"", "'''");
    let mut lines: Vec<&str> = docs.lines().collect();
    let raises = error.map(|error| format!("Raises HandlerError with an error of {error}."));
    if let Some(raises) = &raises {
        if !lines.is_empty() {
            lines.push("");
        }
        lines.push(raises);
    }
    if lines.is_empty() {
        return String::new();
    }
    // A last quotation mark would end it with those that do.
    let text = lines.join("\n        ").replace("        \n", "\n");
    format!("        \"\"\"{}\n        \"\"\"\n", text.trim_end())
}

fn has_fields(schema: &Value) -> bool {
    schema["properties"]
        .as_object()
        .is_some_and(|fields| !fields.is_empty())
}

fn union(mut types: Vec<String>) -> String {
    types.sort_by_key(|name| name == "None");
    types.dedup();
    types.join(" | ")
}
