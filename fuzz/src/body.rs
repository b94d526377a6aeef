//! Bodies: whatever decodes, encodes to bytes that decode to the same value.

use replybus::{ContentType, codec, limits::NESTING_DEPTH_MAX};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A value of every kind that an encoding tells apart.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Value {
    Nothing,
    Truth(bool),
    Integer(i64),
    Natural(u64),
    Text(String),
    Bytes(Vec<u8>),
    Perhaps(Option<Box<Value>>),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
    Named { left: Box<Value>, right: u8 },
}

pub(crate) fn run(data: &[u8]) {
    for content_type in [ContentType::MessagePack, ContentType::Json] {
        let Ok(value) = codec::decode::<Value>(content_type, data) else {
            continue;
        };
        let room = data.len() * 64 + NESTING_DEPTH_MAX * 64;
        let encoded = codec::encode(content_type, &value, room).expect("it was decoded");
        let again = codec::decode::<Value>(content_type, &encoded).expect("it was encoded");
        assert_eq!(again, value);
    }
}
