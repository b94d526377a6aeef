//! The forms that a schema allows values to have: a union, without references.

use super::super::{document::View, json::reference};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The most forms of one schema, and how deep those may be that have no name. Schemas of types are
/// far below; one that is not is compared as it stands.
const FORMS_MAX: usize = 512;
const DEPTH_MAX: usize = 64;

/// The most schemas that are looked at for the forms of one: each form takes one, and what they have in
/// common takes few.
const STEPS_MAX: usize = 2 * FORMS_MAX;

/// Keywords that are not looked into.
const NOT_COMPARED: &[&str] = &[
    "contains",
    "dependencies",
    "else",
    "if",
    "not",
    "patternProperties",
    "propertyNames",
    "then",
    "unevaluatedProperties",
];

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    Any,
    Null,
    Boolean,
    Integer(Range),
    Number,
    Text(Text),
    /// One value, which is no text.
    Constant(Value),
    List(List),
    Object(Object),
    /// A schema that is not understood.
    Other(Value),
}

/// From and to, both among them; without a bound if there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Range {
    pub(super) from: Option<i128>,
    pub(super) to: Option<i128>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Text {
    /// These, and no others.
    pub(super) allowed: Option<BTreeSet<String>>,
    pub(super) format: Option<String>,
    pub(super) pattern: Option<String>,
    pub(super) length: Range,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct List {
    pub(super) items: ListItems,
    pub(super) length: Range,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum ListItems {
    Each(Value),
    /// One after the other.
    Tuple(Vec<Value>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object {
    pub(super) fields: BTreeMap<String, Value>,
    pub(super) required: BTreeSet<String>,
    pub(super) others: OtherFields,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum OtherFields {
    /// They are passed over.
    Open,
    /// They are refused.
    Closed,
    /// They are of this schema, as in a map.
    Each(Value),
}

/// The forms of a schema; none if there is no value of it. Each schema that is looked at for them is a
/// step: definitions that refer to each other twice are more than can be looked at, however few they
/// are, and what is left then is compared as it stands.
pub(super) fn forms(schema: &Value, view: View<'_>, steps_left: &mut usize) -> Vec<Form> {
    let most = STEPS_MAX.min(*steps_left);
    let mut left = most;
    let forms = united(of(schema, view, 0, &mut left));
    *steps_left -= most - left;
    forms
}

fn of(schema: &Value, view: View<'_>, depth: usize, steps_left: &mut usize) -> Vec<Form> {
    let other = || vec![Form::Other(schema.clone())];
    let keywords = match schema {
        Value::Bool(true) => return vec![Form::Any],
        Value::Bool(false) => return Vec::new(),
        Value::Object(keywords) => keywords,
        _ => return other(),
    };
    let is_strange = |keyword: &&str| keywords.contains_key(*keyword);
    if depth > DEPTH_MAX || *steps_left == 0 || NOT_COMPARED.iter().any(is_strange) {
        return other();
    }
    *steps_left -= 1;
    if let Some(name) = reference(schema) {
        return match view.definition(&name) {
            Some(definition) => of(definition, view, depth + 1, steps_left),
            None => other(),
        };
    }
    let mut forms = plain(keywords);
    for keyword in ["anyOf", "oneOf"] {
        if let Some(any) = keywords.get(keyword).and_then(Value::as_array) {
            let any = any
                .iter()
                .flat_map(|any| of(any, view, depth + 1, steps_left));
            forms = both(&forms, &any.collect::<Vec<_>>());
        }
    }
    for all in keywords
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        forms = both(&forms, &of(all, view, depth + 1, steps_left));
    }
    if forms.len() > FORMS_MAX {
        return other();
    }
    forms
}

/// The forms by the keywords that stand beside each other.
fn plain(keywords: &Map<String, Value>) -> Vec<Form> {
    let values = match (keywords.get("const"), keywords.get("enum")) {
        (Some(value), _) => Some(vec![value.clone()]),
        (None, Some(Value::Array(values))) => Some(values.clone()),
        _ => None,
    };
    if let Some(values) = values {
        return values.into_iter().map(constant).collect();
    }
    let types: Vec<&str> = match keywords.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => {
            let has = |names: &[&str]| names.iter().any(|name| keywords.contains_key(*name));
            if has(&["properties", "required", "additionalProperties"]) {
                vec!["object"]
            } else if has(&["items"]) {
                vec!["array"]
            } else {
                return vec![Form::Any];
            }
        }
    };
    types
        .into_iter()
        .map(|name| match name {
            "null" => Form::Null,
            "boolean" => Form::Boolean,
            "integer" => Form::Integer(integers(keywords)),
            "number" => Form::Number,
            "string" => Form::Text(text(keywords)),
            "array" => Form::List(list(keywords)),
            "object" => Form::Object(object(keywords)),
            _ => Form::Other(Value::Object(keywords.clone())),
        })
        .collect()
}

fn constant(value: Value) -> Form {
    match value {
        Value::Null => Form::Null,
        Value::String(text) => Form::Text(Text {
            allowed: Some([text].into()),
            ..Text::default()
        }),
        value => Form::Constant(value),
    }
}

fn integers(keywords: &Map<String, Value>) -> Range {
    let of = |name: &str| keywords.get(name).and_then(whole);
    let (from, to) = match keywords.get("format").and_then(Value::as_str) {
        Some("int8") => (Some(i8::MIN.into()), Some(i8::MAX.into())),
        Some("int16") => (Some(i16::MIN.into()), Some(i16::MAX.into())),
        Some("int32") => (Some(i32::MIN.into()), Some(i32::MAX.into())),
        Some("int64" | "int") => (Some(i64::MIN.into()), Some(i64::MAX.into())),
        Some("uint8") => (Some(0), Some(u8::MAX.into())),
        Some("uint16") => (Some(0), Some(u16::MAX.into())),
        Some("uint32") => (Some(0), Some(u32::MAX.into())),
        Some("uint64" | "uint") => (Some(0), Some(u64::MAX.into())),
        Some("uint128") => (Some(0), None),
        _ => (None, None),
    };
    let above = of("exclusiveMinimum").map(|below| below.saturating_add(1));
    let below = of("exclusiveMaximum").map(|above| above.saturating_sub(1));
    Range { from, to }
        .and(Range {
            from: of("minimum"),
            to: of("maximum"),
        })
        .and(Range {
            from: above,
            to: below,
        })
}

fn whole(value: &Value) -> Option<i128> {
    let integer = value.as_i64().map(i128::from);
    integer
        .or_else(|| value.as_u64().map(i128::from))
        .or_else(|| {
            // As it is written if it has no fraction.
            let text = value.as_f64()?.to_string();
            text.parse().ok()
        })
}

fn text(keywords: &Map<String, Value>) -> Text {
    let of = |name: &str| {
        keywords
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Text {
        allowed: None,
        format: of("format"),
        pattern: of("pattern"),
        length: length(keywords, "minLength", "maxLength"),
    }
}

fn list(keywords: &Map<String, Value>) -> List {
    let items = match keywords.get("items") {
        Some(Value::Array(items)) => ListItems::Tuple(items.clone()),
        Some(each) => ListItems::Each(each.clone()),
        None => ListItems::Each(Value::Bool(true)),
    };
    List {
        items,
        length: length(keywords, "minItems", "maxItems"),
    }
}

fn length(keywords: &Map<String, Value>, from: &str, to: &str) -> Range {
    let of = |name: &str| keywords.get(name).and_then(whole);
    Range {
        from: Some(of(from).unwrap_or(0)),
        to: of(to),
    }
}

fn object(keywords: &Map<String, Value>) -> Object {
    let fields = keywords.get("properties").and_then(Value::as_object);
    let required = keywords.get("required").and_then(Value::as_array);
    let required = required.into_iter().flatten().filter_map(Value::as_str);
    Object {
        fields: fields
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.clone(), schema.clone()))
            .collect(),
        required: required.map(str::to_owned).collect(),
        others: match keywords.get("additionalProperties") {
            None | Some(Value::Bool(true)) => OtherFields::Open,
            Some(Value::Bool(false)) => OtherFields::Closed,
            Some(each) => OtherFields::Each(each.clone()),
        },
    }
}

impl Range {
    /// `true` if all of the other is in it.
    pub(super) fn contains(self, other: Self) -> bool {
        let from = self
            .from
            .is_none_or(|from| other.from.is_some_and(|other| from <= other));
        let to = self
            .to
            .is_none_or(|to| other.to.is_some_and(|other| other <= to));
        from && to
    }

    fn and(self, other: Self) -> Self {
        Self {
            from: self.from.max(other.from),
            to: match (self.to, other.to) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
        }
    }
}

/// The forms that values have which have one of these and one of those.
fn both(these: &[Form], those: &[Form]) -> Vec<Form> {
    if these.len().saturating_mul(those.len()) > FORMS_MAX {
        return vec![Form::Other(json!([these.len(), those.len()]))];
    }
    let pairs = these
        .iter()
        .flat_map(|one| those.iter().map(move |other| (one, other)));
    pairs.filter_map(|(one, other)| meet(one, other)).collect()
}

fn meet(one: &Form, other: &Form) -> Option<Form> {
    Some(match (one, other) {
        (Form::Any, other) | (other, Form::Any) => other.clone(),
        (one, other) if one == other => one.clone(),
        (Form::Integer(one), Form::Integer(other)) => Form::Integer(one.and(*other)),
        (Form::Integer(one), Form::Number) | (Form::Number, Form::Integer(one)) => {
            Form::Integer(*one)
        }
        (Form::Text(one), Form::Text(other)) => Form::Text(Text {
            allowed: match (&one.allowed, &other.allowed) {
                (Some(one), Some(other)) => Some(one & other),
                (one, other) => one.clone().or_else(|| other.clone()),
            },
            format: one.format.clone().or_else(|| other.format.clone()),
            pattern: one.pattern.clone().or_else(|| other.pattern.clone()),
            length: one.length.and(other.length),
        }),
        (Form::Object(one), Form::Object(other)) => Form::Object(one.and(other)),
        (Form::Other(one), other) | (other, Form::Other(one)) => {
            Form::Other(json!([one, format!("{other:?}")]))
        }
        _ => return None,
    })
}

impl Object {
    fn and(&self, other: &Self) -> Self {
        let mut fields = self.fields.clone();
        for (name, schema) in &other.fields {
            let of_both = match fields.get(name) {
                Some(known) if known != schema => json!({ "allOf": [known, schema] }),
                _ => schema.clone(),
            };
            fields.insert(name.clone(), of_both);
        }
        Self {
            fields,
            required: &self.required | &other.required,
            others: match (&self.others, &other.others) {
                (OtherFields::Open, others) | (others, OtherFields::Open) => others.clone(),
                (OtherFields::Closed, _) | (_, OtherFields::Closed) => OtherFields::Closed,
                (OtherFields::Each(one), OtherFields::Each(other)) if one == other => {
                    OtherFields::Each(one.clone())
                }
                (OtherFields::Each(one), OtherFields::Each(other)) => {
                    OtherFields::Each(json!({ "allOf": [one, other] }))
                }
            },
        }
    }
}

/// The same forms, with all texts that are listed in one.
fn united(forms: Vec<Form>) -> Vec<Form> {
    let mut listed = BTreeSet::new();
    let mut rest = Vec::new();
    for form in forms {
        match form {
            Form::Text(Text {
                allowed: Some(allowed),
                ..
            }) => listed.extend(allowed),
            form if rest.contains(&form) => {}
            form => rest.push(form),
        }
    }
    if !listed.is_empty() {
        rest.push(Form::Text(Text {
            allowed: Some(listed),
            ..Text::default()
        }));
    }
    rest
}
