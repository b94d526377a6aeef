//! Tags of answers: texts with arguments in them, out of the encoded arguments of a call. So both
//! encodings, and contracts that were written by hand, make the same.

use crate::{
    codec::{self, ContentType},
    message::Text,
};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fmt::{self, Write as _},
};

/// Why arguments make no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TagError {
    #[error("arguments: {0}")]
    Arguments(String),
    #[error(
        "the tag {tag:?}: the argument `{argument}` is {is}; a text, a whole number, or true or false is needed"
    )]
    Argument {
        tag: &'static str,
        argument: &'static str,
        is: &'static str,
    },
}

/// The digests of the tags that `templates` and a call's arguments make.
pub(crate) fn of_call(
    templates: &[&'static str],
    content_type: ContentType,
    body: &[u8],
) -> Result<Vec<Text>, TagError> {
    if !templates.iter().any(|template| template.contains('{')) {
        return Ok(templates.iter().map(|tag| digest(tag)).collect());
    }
    let arguments: Arguments = codec::decode(content_type, body)
        .map_err(|error| TagError::Arguments(error.to_string()))?;
    let tags = templates.iter().map(|template| arguments.tag(template));
    tags.map(|tag| tag.map(|tag| digest(&tag))).collect()
}

/// What a tag is known by: arguments can be long, and are nobody's business.
pub(crate) fn digest(tag: &str) -> Text {
    let digest = Sha256::digest(tag);
    hexadecimal(digest.iter().take(16))
}

pub(super) fn hexadecimal<'a>(bytes: impl Iterator<Item = &'a u8>) -> Text {
    let mut text = String::with_capacity(64);
    for byte in bytes {
        // A string takes whatever is written.
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}

/// The arguments of a call, as far as they can be part of a tag.
#[derive(Deserialize)]
#[serde(transparent)]
struct Arguments(HashMap<String, Part>);

enum Part {
    Text(String),
    /// What it is instead.
    Other(&'static str),
}

impl Arguments {
    /// The tag that a template makes. What is in no braces stands for itself.
    fn tag(&self, template: &'static str) -> Result<String, TagError> {
        let mut tag = String::with_capacity(template.len() + 32);
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((argument, after)) = after.split_once('}') else {
                break;
            };
            let wrong = |is| TagError::Argument {
                tag: template,
                argument,
                is,
            };
            tag.push_str(before);
            match self.0.get(argument) {
                Some(Part::Text(text)) => tag.push_str(text),
                Some(Part::Other(is)) => return Err(wrong(is)),
                None => return Err(wrong("not there")),
            }
            rest = after;
        }
        tag.push_str(rest);
        Ok(tag)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartVisitor)
    }
}

struct PartVisitor;

macro_rules! shown {
    ($($visit:ident: $ty:ty),*) => {$(
        fn $visit<E: Error>(self, value: $ty) -> Result<Part, E> {
            Ok(Part::Text(value.to_string()))
        }
    )*};
}

impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an argument")
    }

    shown! {
        visit_bool: bool,
        visit_i64: i64,
        visit_i128: i128,
        visit_u64: u64,
        visit_u128: u128,
        visit_str: &str
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Part, E> {
        Ok(Part::Other("a fraction"))
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Part, E> {
        Ok(Part::Other("bytes"))
    }

    fn visit_unit<E: Error>(self) -> Result<Part, E> {
        Ok(Part::Other("nothing"))
    }

    fn visit_none<E: Error>(self) -> Result<Part, E> {
        Ok(Part::Other("nothing"))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Part, D::Error> {
        Part::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Part, D::Error> {
        Part::deserialize(inner)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Part, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Part::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Part, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Part::Other("a structure"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;
    use serde_json::json;

    #[derive(Serialize)]
    struct Id(u64);

    #[derive(Serialize)]
    enum Colour {
        Red,
    }

    #[derive(Serialize)]
    struct Call {
        id: Id,
        name: &'static str,
        colour: Colour,
        below: i32,
        is_new: bool,
        price: f64,
        sizes: Vec<u32>,
        note: Option<String>,
    }

    const CALL: Call = Call {
        id: Id(7),
        name: "a{b}",
        colour: Colour::Red,
        below: -3,
        is_new: true,
        price: 1.5,
        sizes: Vec::new(),
        note: None,
    };

    fn made(content_type: ContentType, templates: &[&'static str]) -> Result<Vec<Text>, TagError> {
        let body = codec::encode(content_type, &CALL, 1024).unwrap();
        of_call(templates, content_type, &body)
    }

    #[test]
    fn both_encodings_make_the_same_tags() {
        let templates = ["all", "p:{id}", "{name}/{colour}", "{below}", "x{is_new}y"];
        let expected = ["all", "p:7", "a{b}/Red", "-3", "xtruey"].map(digest);
        for content_type in [ContentType::MessagePack, ContentType::Json] {
            assert_eq!(made(content_type, &templates).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_part_of_a_tag_is_named() {
        for content_type in [ContentType::MessagePack, ContentType::Json] {
            for (template, argument, is) in [
                ("{price}", "price", "a fraction"),
                ("{sizes}", "sizes", "a list"),
                ("a{note}", "note", "nothing"),
                ("{other}", "other", "not there"),
            ] {
                let refused = made(content_type, &[template]).unwrap_err();
                let tag = template;
                assert_eq!(refused, TagError::Argument { tag, argument, is });
            }
        }
        let refused = of_call(&["{id}"], ContentType::Json, b"[]").unwrap_err();
        assert!(matches!(refused, TagError::Arguments(_)), "{refused}");
    }

    #[test]
    fn an_argument_of_any_shape_is_no_failure() {
        let shapes = json!({"id": {"a": [1, {"b": null}]}, "name": "n"});
        for content_type in [ContentType::MessagePack, ContentType::Json] {
            let body = codec::encode(content_type, &shapes, 1024).unwrap();
            assert!(of_call(&["{name}"], content_type, &body).is_ok());
            assert!(of_call(&["{id}"], content_type, &body).is_err());
        }
    }
}
