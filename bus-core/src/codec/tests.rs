use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;

const BOTH: [ContentType; 2] = [ContentType::MessagePack, ContentType::Json];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    account: String,
    amount: i64,
    note: Option<String>,
    tags: Vec<Tag>,
    by_name: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Tag {
    Plain,
    Named(String),
    Full { weight: i32 },
}

fn entry() -> impl Strategy<Value = Entry> {
    let tag = prop_oneof![
        Just(Tag::Plain),
        ".*".prop_map(Tag::Named),
        any::<i32>().prop_map(|weight| Tag::Full { weight }),
    ];
    (
        ".*",
        any::<i64>(),
        proptest::option::of(".*"),
        proptest::collection::vec(tag, 0..5),
        proptest::collection::btree_map(".*", any::<u64>(), 0..5),
    )
        .prop_map(|(account, amount, note, tags, by_name)| Entry {
            account,
            amount,
            note,
            tags,
            by_name,
        })
}

proptest! {
    #[test]
    fn reads_back_what_it_writes(entry in entry()) {
        for content_type in BOTH {
            let body = encode(content_type, &entry, usize::MAX).unwrap();
            let back: Entry = decode(content_type, &body).unwrap();
            prop_assert_eq!(&back, &entry);
        }
    }

    #[test]
    fn garbage_is_an_error_and_nothing_worse(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        for content_type in BOTH {
            let _ = decode::<Entry>(content_type, &bytes);
            let _ = value_len(&bytes);
        }
    }

    #[test]
    fn a_cut_body_is_an_error(entry in entry(), cut in 0.0..1.0_f64) {
        for content_type in BOTH {
            let body = encode(content_type, &entry, usize::MAX).unwrap();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let keep = (body.len() as f64 * cut) as usize;
            prop_assert!(decode::<Entry>(content_type, &body[..keep]).is_err());
        }
    }
}

#[test]
fn any_byte_that_follows_a_value_is_an_error() {
    for content_type in BOTH {
        let body = encode(content_type, &[1, 2], 100).unwrap();
        assert_eq!(decode::<Vec<u8>>(content_type, &body).unwrap(), [1, 2]);
        let more = (0..=u8::MAX).filter(|byte| !byte.is_ascii_whitespace());
        for byte in more.chain((content_type == ContentType::MessagePack).then_some(b' ')) {
            let body = [&body[..], &[byte]].concat();
            assert!(decode::<Vec<u8>>(content_type, &body).is_err(), "{byte:x}");
        }
    }
}

#[test]
fn what_follows_the_value_is_an_error() {
    for content_type in BOTH {
        let mut body = encode(content_type, &1, 99).unwrap().to_vec();
        body.extend_from_slice(&body.clone());
        body.push(b'1');
        if content_type == ContentType::Json {
            body = b"1 1".to_vec();
        }
        assert!(matches!(
            decode::<u8>(content_type, &body),
            Err(CodecError::Decode(_))
        ));
    }
}

#[test]
fn depth_is_bounded_without_overflowing_the_stack() {
    let nested = |depth: usize| {
        let mut body = vec![0x91_u8; depth];
        body.push(0xc0);
        body
    };
    assert!(decode::<serde_json::Value>(ContentType::MessagePack, &nested(32)).is_ok());
    for depth in [NESTING_DEPTH_MAX + 1, 1_000, 100_000] {
        let error = decode::<serde_json::Value>(ContentType::MessagePack, &nested(depth));
        assert!(matches!(error, Err(CodecError::Decode(_))), "{depth}");
        let error = decode::<serde_json::Value>(ContentType::Json, "[".repeat(depth).as_bytes());
        assert!(matches!(error, Err(CodecError::Decode(_))), "{depth}");
    }
}

#[test]
fn size_is_bounded() {
    let error = encode(ContentType::MessagePack, &vec![1_u8; 100], 50).unwrap_err();
    assert!(
        matches!(
            error,
            CodecError::TooLarge {
                bytes: 103,
                max: 50
            }
        ),
        "{error}"
    );
}

/// A reader that knows more, and one that knows less.
#[test]
fn an_optional_field_can_be_added_on_either_side_first() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct V1 {
        from: String,
        amount: i64,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct V2 {
        from: String,
        note: Option<String>,
        amount: i64,
    }
    let old = V1 {
        from: "a".into(),
        amount: 7,
    };
    let new = V2 {
        from: "a".into(),
        note: Some("n".into()),
        amount: 7,
    };
    for content_type in BOTH {
        let bytes = encode(content_type, &old, 999).unwrap();
        let read: V2 = decode(content_type, &bytes).unwrap();
        assert_eq!(
            read,
            V2 {
                note: None,
                ..V2 {
                    from: "a".into(),
                    note: None,
                    amount: 7
                }
            }
        );
        let bytes = encode(content_type, &new, 999).unwrap();
        assert_eq!(decode::<V1>(content_type, &bytes).unwrap(), old);
    }
}

/// Golden bytes: what another version, or another language, relies on.
#[test]
fn bytes_on_the_wire_do_not_change() {
    let entry = Entry {
        account: "ab".into(),
        amount: -1,
        note: None,
        tags: vec![
            Tag::Plain,
            Tag::Named("n".into()),
            Tag::Full { weight: 300 },
        ],
        by_name: BTreeMap::from([("k".into(), 5)]),
    };
    let bytes = encode(ContentType::MessagePack, &entry, 999).unwrap();
    let mut golden = Vec::new();
    golden.push(0x85);
    golden.extend(b"\xa7account\xa2ab");
    golden.extend(b"\xa6amount\xff");
    golden.extend(b"\xa4note\xc0");
    golden.extend(b"\xa4tags\x93\xa5Plain\x81\xa5Named\xa1n\x81\xa4Full\x81\xa6weight\xcd\x01\x2c");
    golden.extend(b"\xa7by_name\x81\xa1k\x05");
    assert_eq!(bytes, golden);
    let bytes = encode(ContentType::Json, &entry, 999).unwrap();
    assert_eq!(
        std::str::from_utf8(&bytes).unwrap(),
        r#"{"account":"ab","amount":-1,"note":null,"tags":["Plain",{"Named":"n"},{"Full":{"weight":300}}],"by_name":{"k":5}}"#
    );
}
