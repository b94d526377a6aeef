//! The document of contracts, as it is written to a file and read from one.

use super::json::{bare, reference};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The number of this form of the document.
pub(super) const FORMAT: u32 = 1;

/// Services and events, with the schemas of all that travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) format: u32,
    #[serde(default)]
    pub(super) services: Vec<ServiceSchema>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) events: Vec<EventSchema>,
    #[serde(default, flatten)]
    pub(super) definitions: Definitions,
}

/// What schemas refer to. What is written in another form than it is read in is in both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Definitions {
    #[serde(
        rename = "definitions",
        default,
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(super) read: BTreeMap<String, Value>,
    #[serde(
        rename = "written_definitions",
        default,
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(super) written: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ServiceSchema {
    pub(super) service: String,
    pub(super) queue: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) partitions: Option<u16>,
    pub(super) methods: BTreeMap<String, MethodSchema>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct MethodSchema {
    pub(super) kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) docs: Option<String>,
    pub(super) fingerprint: String,
    pub(super) timeout_ms: u64,
    /// Of a command that takes long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) job_ms: Option<u64>,
    /// Of a command whose handler keeps the record of it: there is none in the reply store.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) own_record: bool,
    /// Of a command whose handler may put it off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) put_off: bool,
    /// The argument that its calls are kept in order by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    pub(super) arguments: TypeSchema,
    /// The argument that is a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fed: Option<FedSchema>,
    /// Its answer is a stream, of which the reply is an item.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) stream: bool,
    pub(super) reply: TypeSchema,
    /// There is none of a method that can't fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<TypeSchema>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FedSchema {
    pub(super) argument: String,
    pub(super) item: TypeSchema,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EventSchema {
    pub(super) event: String,
    pub(super) exchange: String,
    pub(super) body: TypeSchema,
}

/// Both views of a type: what is read as one, and what is written of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TypeSchema {
    pub(super) read: Value,
    /// If it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) written: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Query,
    Command,
}

/// One view of all types.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    definitions: &'a Definitions,
    is_written: bool,
}

impl Document {
    /// The same, without what is said to people, and without definitions that nothing refers to.
    pub(super) fn bare(mut self) -> Self {
        for service in &mut self.services {
            for method in service.methods.values_mut() {
                method.docs = None;
                let fed = method.fed.iter_mut().map(|fed| &mut fed.item);
                let types = [&mut method.arguments, &mut method.reply];
                let types = types.into_iter().chain(&mut method.error).chain(fed);
                types.for_each(TypeSchema::make_bare);
            }
        }
        for event in &mut self.events {
            event.body.make_bare();
        }
        let Definitions { read, written } = &mut self.definitions;
        for schema in read.values_mut().chain(written.values_mut()) {
            *schema = bare(schema.take());
        }
        written.retain(|name, schema| read.get(name) != Some(schema));
        self
    }
}

impl TypeSchema {
    pub(super) fn of(read: Value, written: Value) -> Self {
        Self {
            written: (written != read).then_some(written),
            read,
        }
    }

    fn make_bare(&mut self) {
        self.read = bare(self.read.take());
        self.written = self.written.take().map(bare);
        self.written.take_if(|written| *written == self.read);
    }

    pub(super) fn view(&self, view: View<'_>) -> &Value {
        match &self.written {
            Some(written) if view.is_written => written,
            _ => &self.read,
        }
    }

    /// `true` of a type that has no value.
    pub(super) fn is_never(&self) -> bool {
        self.read == Value::Bool(false)
    }
}

impl Definitions {
    pub(super) fn read_view(&self) -> View<'_> {
        View {
            definitions: self,
            is_written: false,
        }
    }

    pub(super) fn written_view(&self) -> View<'_> {
        View {
            definitions: self,
            is_written: true,
        }
    }
}

impl<'a> View<'a> {
    /// What a name stands for.
    pub(super) fn definition(self, name: &str) -> Option<&'a Value> {
        let Definitions { read, written } = self.definitions;
        let written = written.get(name).filter(|_| self.is_written);
        written.or_else(|| read.get(name))
    }

    /// The names that a schema refers to and that have no definition.
    pub(super) fn missing(self, schema: &Value, missing: &mut BTreeSet<String>) {
        if let Some(name) = reference(schema)
            && self.definition(&name).is_none()
        {
            missing.insert(name);
        }
        match schema {
            Value::Object(keywords) => {
                keywords
                    .values()
                    .for_each(|value| self.missing(value, missing));
            }
            Value::Array(items) => items.iter().for_each(|item| self.missing(item, missing)),
            _ => {}
        }
    }
}
