//! Headers in our form and in lapin's: what is text is read, what is not is handed on.

use super::convert::{TooLong, short};
use crate::{
    limits::HEADERS_BYTES_MAX,
    message::{HeaderValue, Headers, OtherHeaders, Properties, Text},
    wire::headers,
};
use lapin::types::FieldTable;

/// Headers read from one delivery beside those of the protocol; further ones are only handed on.
const HEADERS_MAX: usize = 64;

/// All headers. One that came as another type than text, and still says the same, goes as that.
pub(super) fn encode_headers(from: &mut Properties) -> Result<FieldTable, TooLong> {
    if from.headers_bytes() > HEADERS_BYTES_MAX {
        return Err(TooLong);
    }
    let mut table = FieldTable::default();
    let mut others = std::mem::take(&mut from.other_headers);
    for (name, text) in std::mem::take(&mut from.headers) {
        let value = match others.remove(&name) {
            Some(typed) if header_text(&typed).as_ref() == Some(&text) => typed,
            _ if headers::is_boolean(&name) => HeaderValue::Boolean(text == headers::TRUE),
            _ => HeaderValue::LongString(String::from(text).into()),
        };
        table.insert(short(name)?, value);
    }
    for (name, value) in others.into_values() {
        table.insert(short(name)?, value);
    }
    Ok(table)
}

/// The headers that have a text, which are all of the protocol's, wherever they stand, and the
/// first others; and all that have none, or are not only text.
pub(super) fn decode_headers(table: &FieldTable) -> (Headers, OtherHeaders) {
    let (mut texts, mut others) = (Headers::default(), OtherHeaders::default());
    let mut places = HEADERS_MAX;
    for (name, value) in table {
        let name = Text::from(name.as_str());
        let has_meaning = headers::has_meaning(&name);
        let text = header_text(value).filter(|_| has_meaning || places > 0);
        if text.is_none() || !matches!(value, HeaderValue::LongString(_)) {
            others.insert((&*name).into(), value.clone());
        }
        if let Some(text) = text {
            places -= usize::from(!has_meaning);
            texts.push((name, text));
        }
    }
    (texts, others)
}

/// A header as text: texts, bytes that are UTF-8, integers and booleans; what else there is has no
/// obvious text.
fn header_text(value: &HeaderValue) -> Option<Text> {
    let utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).map(Text::from).ok();
    Some(match value {
        HeaderValue::LongString(text) => utf8(text.as_bytes())?,
        HeaderValue::ByteArray(bytes) => utf8(bytes.as_slice())?,
        HeaderValue::ShortString(text) => text.as_str().into(),
        HeaderValue::Boolean(value) => value.to_string().into(),
        HeaderValue::ShortShortInt(value) => value.to_string().into(),
        HeaderValue::ShortShortUInt(value) => value.to_string().into(),
        HeaderValue::ShortInt(value) => value.to_string().into(),
        HeaderValue::ShortUInt(value) => value.to_string().into(),
        HeaderValue::LongInt(value) => value.to_string().into(),
        HeaderValue::LongUInt(value) => value.to_string().into(),
        HeaderValue::LongLongInt(value) => value.to_string().into(),
        HeaderValue::Timestamp(value) => value.to_string().into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::types::{DecimalValue, FieldArray, generation::gen_field_table};
    use std::collections::BTreeMap;

    #[test]
    fn the_mark_of_a_repetition_is_a_boolean() {
        let headers = [(headers::REPEATED.into(), headers::TRUE.into())].into();
        let properties = Properties {
            headers,
            ..Properties::default()
        };
        let table = encode_headers(&mut properties.clone()).unwrap();
        let mark = table.inner().get(headers::REPEATED);
        assert_eq!(mark, Some(&HeaderValue::Boolean(true)));
        assert_eq!(decode_headers(&table).0, properties.headers);
    }

    /// A header of each type that AMQP has and RabbitMQ sends.
    fn of_all_types() -> FieldTable {
        let mut inner = FieldTable::default();
        inner.insert("deep".into(), HeaderValue::Timestamp(1));
        let array = vec![HeaderValue::FieldTable(inner.clone()), HeaderValue::Void];
        let decimal = DecimalValue { scale: 2, value: 5 };
        let mut table = FieldTable::default();
        for (name, value) in [
            ("array", HeaderValue::FieldArray(array.into())),
            ("bool", HeaderValue::Boolean(true)),
            ("byte", HeaderValue::ShortShortInt(-7)),
            ("bytes", HeaderValue::ByteArray(vec![0xff, 2].into())),
            ("decimal", HeaderValue::DecimalValue(decimal)),
            ("double", HeaderValue::Double(0.5)),
            ("float", HeaderValue::Float(0.5)),
            ("int", HeaderValue::LongInt(-7)),
            ("long", HeaderValue::LongLongInt(-7)),
            ("not-utf-8", HeaderValue::LongString(vec![0xff].into())),
            ("nothing", HeaderValue::Void),
            ("short", HeaderValue::ShortInt(-7)),
            ("table", HeaderValue::FieldTable(inner)),
            ("text", HeaderValue::LongString("t".into())),
            ("time", HeaderValue::Timestamp(7)),
            ("ubyte", HeaderValue::ShortShortUInt(7)),
            ("uint", HeaderValue::LongUInt(7)),
            ("ushort", HeaderValue::ShortUInt(7)),
        ] {
            table.insert(name.into(), value);
        }
        table
    }

    #[test]
    fn headers_of_other_types_are_read_as_text_where_they_have_one() {
        let (texts, _) = decode_headers(&of_all_types());
        let texts: Vec<(&str, &str)> = texts.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(
            texts,
            [
                ("bool", "true"),
                ("byte", "-7"),
                ("int", "-7"),
                ("long", "-7"),
                ("short", "-7"),
                ("text", "t"),
                ("time", "7"),
                ("ubyte", "7"),
                ("uint", "7"),
                ("ushort", "7"),
            ]
        );
    }

    #[test]
    fn headers_that_are_handed_on_keep_their_types() {
        let mut table = of_all_types();
        for i in 0..100 {
            table.insert(format!("z{i}").into(), HeaderValue::LongString("".into()));
        }
        let (headers, other_headers) = decode_headers(&table);
        let mut properties = Properties {
            headers,
            other_headers,
            ..Properties::default()
        };
        assert_eq!(encode_headers(&mut properties.clone()).unwrap(), table);

        // What was changed goes as it is now, and what was taken out is gone.
        properties.retain_headers(|name| !matches!(name, "bool" | "table" | "z99"));
        for (name, text) in &mut properties.headers {
            if name == "int" {
                *text = "8".into();
            }
        }
        let mut table: BTreeMap<_, _> = table.inner().clone();
        for gone in ["bool", "table", "z99"] {
            table.remove(gone).unwrap();
        }
        table.insert("int".into(), HeaderValue::LongString("8".into()));
        assert_eq!(encode_headers(&mut properties).unwrap(), table.into());
    }

    /// The bound on headers is one of bytes in a frame.
    #[test]
    fn the_bytes_of_headers_are_counted_as_they_are_encoded() {
        let table = of_all_types();
        let (headers, other_headers) = decode_headers(&table);
        let properties = Properties {
            headers,
            other_headers,
            ..Properties::default()
        };
        let encoded = gen_field_table(&table)(Vec::new().into());
        let encoded = encoded.unwrap().into_inner().0;
        // The table begins with its length.
        assert_eq!(properties.headers_bytes(), encoded.len() - 4);
    }

    #[test]
    fn reads_no_more_than_64_headers_beside_those_of_the_protocol() {
        let mut table = FieldTable::default();
        for i in 0..100 {
            table.insert(format!("a{i}").into(), HeaderValue::Boolean(true));
        }
        for name in [headers::DEADLINE, headers::IDEMPOTENCY_KEY] {
            table.insert(name.into(), HeaderValue::LongString("1".into()));
        }
        let (read, others) = decode_headers(&table);
        assert_eq!(read.len(), HEADERS_MAX + 2);
        assert_eq!(others.names().count(), 100);
        for name in [headers::DEADLINE, headers::IDEMPOTENCY_KEY] {
            assert!(read.contains(&(name.into(), "1".into())), "{name}");
        }
    }

    #[test]
    fn a_header_of_the_protocol_is_read_or_noted_as_unreadable() {
        let decimal = DecimalValue { scale: 1, value: 5 };
        for (value, text) in [
            (HeaderValue::ByteArray(b"key".to_vec().into()), Some("key")),
            (HeaderValue::LongString("key".into()), Some("key")),
            (HeaderValue::LongLongInt(7), Some("7")),
            (HeaderValue::ByteArray(vec![0xff].into()), None),
            (HeaderValue::LongString(vec![0xff].into()), None),
            (HeaderValue::DecimalValue(decimal), None),
            (HeaderValue::Float(0.5), None),
            (HeaderValue::Double(0.5), None),
            (HeaderValue::FieldArray(FieldArray::default()), None),
            (HeaderValue::FieldTable(FieldTable::default()), None),
            (HeaderValue::Void, None),
        ] {
            let mut table = FieldTable::default();
            table.insert(headers::IDEMPOTENCY_KEY.into(), value.clone());
            table.insert("tenant".into(), HeaderValue::Void);
            let (headers, other_headers) = decode_headers(&table);
            let properties = Properties {
                headers,
                other_headers,
                ..Properties::default()
            };
            assert_eq!(
                properties.header(headers::IDEMPOTENCY_KEY),
                text,
                "{value:?}"
            );
            let is_unreadable = properties.is_unreadable(headers::IDEMPOTENCY_KEY);
            assert_eq!(is_unreadable, text.is_none(), "{value:?}");
            assert!(properties.is_unreadable("tenant"));
        }
    }
}
