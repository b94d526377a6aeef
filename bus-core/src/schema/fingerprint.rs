//! The fingerprint of a method, of the schemas of all that travels in its calls.

use super::{
    document::{Definitions, Kind, MethodSchema, TypeSchema, View},
    json::{bare, reference},
};
use crate::contract::{Fingerprint, FingerprintKind};
use serde_json::Value;
use sha2::{Digest, Sha256};

impl MethodSchema {
    /// The fingerprint of it: two that are equal read what the other writes.
    pub(super) fn fingerprint_of(&self, definitions: &Definitions) -> Fingerprint {
        let mut hash = Hash::default();
        hash.text(match self.kind {
            Kind::Query => "query",
            Kind::Command => "command",
        });
        hash.text(self.key.as_deref().unwrap_or_default());
        hash.text(if self.stream { "stream" } else { "" });
        hash.text(self.fed.as_ref().map_or("", |fed| &fed.argument));
        for view in [definitions.read_view(), definitions.written_view()] {
            let fed = self.fed.as_ref().map(|fed| &fed.item);
            for part in [
                Some(&self.arguments),
                fed,
                Some(&self.reply),
                self.error.as_ref(),
            ] {
                hash.part(part, view);
            }
        }
        Fingerprint::new(FingerprintKind::Schema, hash.hash)
    }
}

impl TypeSchema {
    /// The fingerprint of a type: two that are equal read what the other writes.
    pub(super) fn fingerprint_of(&self, definitions: &Definitions) -> Fingerprint {
        let mut hash = Hash::default();
        for view in [definitions.read_view(), definitions.written_view()] {
            hash.part(Some(self), view);
        }
        Fingerprint::new(FingerprintKind::Schema, hash.hash)
    }
}

#[derive(Default)]
struct Hash {
    hash: Sha256,
}

impl Hash {
    fn text(&mut self, text: &str) {
        self.hash.update(text);
        self.hash.update([0]);
    }

    /// A schema and all that it refers to. Definitions are named by the order in which they are met:
    /// what a type is called does not travel.
    fn part(&mut self, part: Option<&TypeSchema>, view: View<'_>) {
        let Some(part) = part else {
            self.text("");
            return;
        };
        let mut met = Vec::new();
        let schema = numbered(bare(part.view(view).clone()), &mut met);
        self.text(&schema.to_string());
        let mut next = 0;
        while let Some(name) = met.get(next).cloned() {
            let definition = view.definition(&name).cloned().unwrap_or_default();
            let schema = numbered(bare(definition), &mut met);
            self.text(&schema.to_string());
            next += 1;
        }
    }
}

/// A schema whose references are numbers.
fn numbered(schema: Value, met: &mut Vec<String>) -> Value {
    if let Some(name) = reference(&schema) {
        let known = met.iter().position(|known| *known == name);
        let number = known.unwrap_or_else(|| {
            met.push(name);
            met.len() - 1
        });
        return Value::from(number);
    }
    match schema {
        Value::Object(keywords) => keywords
            .into_iter()
            .map(|(keyword, value)| (keyword, numbered(value, met)))
            .collect(),
        Value::Array(items) => items.into_iter().map(|item| numbered(item, met)).collect(),
        other => other,
    }
}
