//! The two views of each type: what is read as one, and what is written of one. They differ where
//! serde's attributes say so: a field with a default need not be there to be read, and is written.

use super::{
    document::{Definitions, TypeSchema},
    json::sorted,
    part::Part,
};
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The generators of both views, and the definitions that they have made.
#[derive(Debug)]
pub(super) struct Views {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Views {
    pub(super) fn new() -> Self {
        // The draft whose schemas AsyncAPI 3 takes as they are.
        let settings = SchemaSettings::draft07().with(|settings| settings.meta_schema = None);
        Self {
            read: settings.clone().for_deserialize().into_generator(),
            written: settings.for_serialize().into_generator(),
        }
    }

    /// Both views of a type; `None` if it has no schema.
    pub(super) fn of(&mut self, part: &Part) -> Option<TypeSchema> {
        let known = part.known?;
        let read = made(&mut self.read, known.schema);
        let written = made(&mut self.written, known.schema);
        Some(TypeSchema::of(read, written))
    }

    /// Both views of the arguments: a map by their names. All are written, and those that may be
    /// missing need not be there.
    pub(super) fn arguments(&mut self, arguments: &[(&str, Part)]) -> Option<TypeSchema> {
        let (mut read, mut written) = (Map::new(), Map::new());
        let (mut required, mut all) = (Vec::new(), Vec::new());
        for (name, part) in arguments {
            let known = part.known?;
            read.insert((*name).to_owned(), made(&mut self.read, known.schema));
            written.insert((*name).to_owned(), made(&mut self.written, known.schema));
            if !(known.is_optional)() {
                required.push(*name);
            }
            all.push(*name);
        }
        Some(TypeSchema::of(
            object(read, &required),
            object(written, &all),
        ))
    }

    /// What the schemas refer to.
    pub(super) fn into_definitions(mut self) -> Definitions {
        let read = taken(&mut self.read);
        let mut written = taken(&mut self.written);
        // What is missing there is looked up among the others.
        written.retain(|name, schema| read.get(name) != Some(schema));
        Definitions { read, written }
    }
}

fn object(properties: Map<String, Value>, required: &[&str]) -> Value {
    sorted(json!({ "type": "object", "properties": properties, "required": required }))
}

fn made(generator: &mut SchemaGenerator, schema: fn(&mut SchemaGenerator) -> Schema) -> Value {
    let mut schema = schema(generator);
    for transform in generator.transforms_mut() {
        transform.transform(&mut schema);
    }
    sorted(schema.to_value())
}

fn taken(generator: &mut SchemaGenerator) -> BTreeMap<String, Value> {
    let definitions = generator.take_definitions(true).into_iter();
    definitions
        .map(|(name, schema)| (name, sorted(schema)))
        .collect()
}
