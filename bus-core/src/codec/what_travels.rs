//! The table of the wire protocol: which types travel, in which form, wherever they stand.

use super::*;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::{Duration, SystemTime},
};
use uuid::Uuid;

const BOTH: [ContentType; 2] = [ContentType::MessagePack, ContentType::Json];

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Field<T> {
    value: T,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flattened<T> {
    #[serde(flatten)]
    inner: Field<T>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged<T> {
    Field { value: T },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "content")]
enum Adjacent<T> {
    Field { value: T },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged<T> {
    Field { value: T },
}

fn back<T: Serialize + DeserializeOwned>(content_type: ContentType, value: &T) -> T {
    let body = encode(content_type, value, usize::MAX).unwrap();
    decode(content_type, &body).unwrap()
}

/// Wherever it stands a value is read back, and it is written in the given form.
fn travels<T>(value: &T, form: &Value)
where
    T: Debug + Clone + PartialEq + Serialize + DeserializeOwned,
{
    let value = || value.clone();
    for content_type in BOTH {
        let body = encode(content_type, &value(), usize::MAX).unwrap();
        let written: Value = decode(content_type, &body).unwrap();
        assert_eq!(&written, form, "{content_type:?}");
        assert_eq!(back(content_type, &value()), value());
        let tagged = Tagged::Field { value: value() };
        assert_eq!(back(content_type, &tagged), tagged);
        let adjacent = Adjacent::Field { value: value() };
        assert_eq!(back(content_type, &adjacent), adjacent);
        let untagged = Untagged::Field { value: value() };
        assert_eq!(back(content_type, &untagged), untagged);
        let inner = Field { value: value() };
        let flattened = Flattened { inner };
        assert_eq!(back(content_type, &flattened), flattened);
    }
}

#[test]
fn types_with_a_form_for_people_travel_in_it() {
    let uuid: Uuid = "0192f0c1-2b3c-7d4e-8f50-617283940a1b".parse().unwrap();
    travels(&uuid, &json!("0192f0c1-2b3c-7d4e-8f50-617283940a1b"));
    let v4: IpAddr = "192.0.2.1".parse().unwrap();
    travels(&v4, &json!("192.0.2.1"));
    let v6: Ipv6Addr = "2001:db8::1".parse().unwrap();
    travels(&v6, &json!("2001:db8::1"));
    let socket: SocketAddr = "[2001:db8::1]:80".parse().unwrap();
    travels(&socket, &json!("[2001:db8::1]:80"));
    travels(
        &crate::CallId::from_bytes([1; 16]),
        &json!("01010101-0101-0101-0101-010101010101"),
    );
}

#[test]
fn times_are_maps_of_seconds_and_nanoseconds() {
    travels(
        &Duration::from_millis(1500),
        &json!({"secs": 1, "nanos": 500_000_000}),
    );
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
    travels(
        &time,
        &json!({"secs_since_epoch": 7, "nanos_since_epoch": 0}),
    );
}

#[test]
fn times_and_decimals_of_other_crates_are_texts() {
    let text = "2026-03-01T12:30:00.5Z";
    let moment: jiff::Timestamp = text.parse().unwrap();
    travels(&moment, &json!(text));
    let zoned = "2026-03-01T12:30:00+07:00[+07:00]";
    travels(&zoned.parse::<jiff::Zoned>().unwrap(), &json!(zoned));
    travels(&jiff::civil::date(2026, 3, 1), &json!("2026-03-01"));
    let moment: chrono::DateTime<chrono::Utc> = text.parse().unwrap();
    travels(&moment, &json!("2026-03-01T12:30:00.500Z"));
    let date: chrono::NaiveDate = "2026-03-01".parse().unwrap();
    travels(&date, &json!("2026-03-01"));
    for text in ["0.10", "-79228162514264337593543950335", "12.340"] {
        let decimal: rust_decimal::Decimal = text.parse().unwrap();
        travels(&decimal, &json!(text));
        // And not only as a number that is equal.
        let body = encode(ContentType::MessagePack, &decimal, 99).unwrap();
        let back: rust_decimal::Decimal = decode(ContentType::MessagePack, &body).unwrap();
        assert_eq!(back.to_string(), text);
    }
}

#[test]
fn numbers_and_texts_travel_as_they_are() {
    travels(&i64::MIN, &json!(i64::MIN));
    travels(&u64::MAX, &json!(u64::MAX));
    travels(&0.1_f64, &json!(0.1));
    travels(&'ä', &json!("ä"));
    travels(&"text".to_owned(), &json!("text"));
    travels(&BTreeMap::from([("k".to_owned(), 1)]), &json!({"k": 1}));
    travels(&vec![1_u8, 255], &json!([1, 255]));
    travels(&((), Some(true), None::<u8>), &json!([null, true, null]));
}

#[test]
fn integers_of_128_bits_travel_where_serde_does_not_buffer() {
    for content_type in BOTH {
        for value in [0, 5, u128::from(u64::MAX) + 1, u128::MAX] {
            assert_eq!(back(content_type, &Field { value }), Field { value });
            // Serde has no place for it where it buffers.
            let inner = Field { value };
            let body = encode(content_type, &Flattened { inner }, usize::MAX).unwrap();
            let error = decode::<Flattened<u128>>(content_type, &body).unwrap_err();
            assert!(error.to_string().contains("u128"), "{error}");
        }
        for value in [i128::MIN, -1, i128::MAX] {
            assert_eq!(back(content_type, &vec![value]), vec![value]);
        }
        // Another language may send a small one as any other integer.
        let small = encode(content_type, &Field { value: 5_u8 }, usize::MAX).unwrap();
        assert_eq!(
            decode(content_type, &small).ok(),
            Some(Field { value: 5_u128 })
        );
    }
}

#[test]
fn a_negative_number_is_no_large_one() {
    for content_type in BOTH {
        let body = encode(content_type, &Field { value: -1 }, usize::MAX).unwrap();
        assert!(decode::<Field<u128>>(content_type, &body).is_err());
        assert!(decode::<Field<u64>>(content_type, &body).is_err());
    }
}

#[test]
fn bytes_travel_as_bytes_where_the_encoding_has_them() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct AsBytes(#[serde(with = "as_bytes")] Vec<u8>);
    let written = |content_type| encode(content_type, &AsBytes(vec![0, 255]), 99).unwrap();
    assert_eq!(written(ContentType::MessagePack), &b"\xc4\x02\x00\xff"[..]);
    assert_eq!(written(ContentType::Json), "[0,255]");
    for content_type in BOTH {
        let value = || AsBytes(vec![0, 255]);
        assert_eq!(back(content_type, &value()), value());
        let tagged = Tagged::Field { value: value() };
        assert_eq!(back(content_type, &tagged), tagged);
        let flattened = Flattened {
            inner: Field { value: value() },
        };
        assert_eq!(back(content_type, &flattened), flattened);
    }
}

/// Bytes as `serde_bytes` writes and reads them.
mod as_bytes {
    use serde::{Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Read;
        impl<'de> de::Visitor<'de> for Read {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut from: A) -> Result<Vec<u8>, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = from.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes)
            }
        }
        from.deserialize_byte_buf(Read)
    }
}

#[test]
fn nothing_within_something_is_nothing() {
    for content_type in BOTH {
        for (value, read) in [
            (None, None),
            (Some(None), None),
            (Some(Some(1)), Some(Some(1))),
        ] {
            let field: Field<Option<Option<u8>>> = Field { value };
            assert_eq!(back(content_type, &field).value, read, "{content_type:?}");
        }
    }
}

#[test]
fn a_struct_is_read_by_the_names_of_its_fields_at_any_depth() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Transfer {
        from: String,
        to: String,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Order {
        Post { from: String, to: String },
        Both(String, String),
    }
    type Nested = BTreeMap<String, Vec<Option<Transfer>>>;
    for content_type in BOTH {
        let encoded = |value: Value| encode(content_type, &value, 999).unwrap();
        let positional = encoded(json!(["a", "b"]));
        let error = decode::<Transfer>(content_type, &positional).unwrap_err();
        assert!(
            error.to_string().contains("by the names of its fields"),
            "{error}"
        );
        let nested = encoded(json!({"k": [["a", "b"]]}));
        assert!(decode::<Nested>(content_type, &nested).is_err());
        let named = encoded(json!({"k": [{"to": "b", "from": "a"}, null]}));
        assert_eq!(
            decode::<Nested>(content_type, &named).unwrap()["k"].len(),
            2
        );
        let variant = encoded(json!({"Post": ["a", "b"]}));
        assert!(decode::<Order>(content_type, &variant).is_err());
        // What has no names is an array.
        let tuple = encoded(json!({"Both": ["a", "b"]}));
        assert!(decode::<Order>(content_type, &tuple).is_ok());
        assert!(decode::<(String, String)>(content_type, &positional).is_ok());
    }
}

#[test]
fn a_field_is_not_read_twice() {
    for (content_type, body) in [
        (ContentType::Json, &br#"{"value":1,"value":2}"#[..]),
        (
            ContentType::MessagePack,
            &b"\x82\xa5value\x01\xa5value\x02"[..],
        ),
    ] {
        let error = decode::<Field<u8>>(content_type, body).unwrap_err();
        assert!(error.to_string().contains("duplicate"), "{error}");
    }
}
