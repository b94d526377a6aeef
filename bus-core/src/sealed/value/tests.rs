use super::*;
use proptest::prelude::*;
use serde_json::json;

const PURPOSE: &str = "log in ada";

fn key(name: &str, byte: u8) -> OpeningKey {
    OpeningKey::from_bytes(name, &[byte; 32]).unwrap()
}

fn sealed(text: &str) -> Sealed<String> {
    let key = key("logins-1", 7).sealing_key();
    Sealed::new(&text.to_owned(), &key, PURPOSE).unwrap()
}

#[test]
fn it_is_opened_by_its_key_and_for_its_purpose_alone() {
    let value = sealed("correct horse");
    let logins = key("logins-1", 7);
    assert_eq!(value.open(&logins, PURPOSE).unwrap(), "correct horse");
    for purpose in ["", "log in bob", "log in ada "] {
        let refused = value.open(&logins, purpose).unwrap_err();
        assert!(matches!(refused, NotOpened::Refused), "{refused:?}");
    }
    let other = value.open(&key("logins-1", 8), PURPOSE).unwrap_err();
    assert!(matches!(other, NotOpened::Refused), "{other:?}");
    let unknown = value.open(&key("logins-2", 7), PURPOSE).unwrap_err();
    assert!(matches!(unknown, NotOpened::UnknownKey { ref name } if name == "logins-1"));
}

#[test]
fn each_time_it_is_sealed_anew() {
    assert_ne!(sealed("correct horse"), sealed("correct horse"));
}

#[test]
fn a_byte_that_was_altered_is_found() {
    let (value, logins) = (sealed("correct horse"), key("logins-1", 7));
    for place in 0..value.as_bytes().len() {
        // Of the encapsulated key X25519 itself passes over one.
        for bit in 0..8 {
            let mut altered = value.as_bytes().to_vec();
            altered[place] ^= 1 << bit;
            let altered = Sealed::<String>::from_bytes(altered);
            let opened = altered.map(|altered| altered.open(&logins, PURPOSE));
            assert!(!matches!(opened, Some(Ok(_))), "{place}.{bit}");
        }
    }
    for length in 0..value.as_bytes().len() {
        let cut = Sealed::<String>::from_bytes(value.as_bytes()[..length].to_vec());
        let opened = cut.map(|cut| cut.open(&logins, PURPOSE));
        assert!(!matches!(opened, Some(Ok(_))), "{length}");
    }
}

#[test]
fn its_length_and_what_is_shown_of_it_tell_little() {
    let (short, long) = (sealed("a"), sealed(&"a".repeat(50)));
    assert_eq!(short.as_bytes().len(), long.as_bytes().len());
    assert_eq!(
        format!("{short:?}"),
        r#"Sealed { key: "logins-1", bytes: 122 }"#
    );
}

#[test]
fn it_travels_in_both_encodings() {
    let value = sealed("correct horse");
    for content_type in [ContentType::MessagePack, ContentType::Json] {
        let body = codec::encode(content_type, &value, 1024).unwrap();
        let back: Sealed<String> = codec::decode(content_type, &body).unwrap();
        assert_eq!(back, value);
        let text: String = codec::decode(content_type, &body).unwrap();
        assert_eq!(text, Base64::encode_string(value.as_bytes()), "one form");
    }
    // As a client sends it that has bytes.
    let mut body = vec![0xc4, u8::try_from(value.as_bytes().len()).unwrap()];
    body.extend_from_slice(value.as_bytes());
    let back: Sealed<String> = codec::decode(ContentType::MessagePack, &body).unwrap();
    assert_eq!(back, value);
}

#[test]
fn what_was_not_sealed_is_refused_without_being_repeated() {
    let plain = json!([
        "hunter2",
        "aHVudGVyMg==",
        ["hunter2"],
        4711,
        [4711],
        47.11,
        true,
        null
    ]);
    for plain in plain.as_array().unwrap() {
        for content_type in [ContentType::MessagePack, ContentType::Json] {
            let body = codec::encode(content_type, plain, 1024).unwrap();
            let refused = codec::decode::<Sealed<String>>(content_type, &body).unwrap_err();
            let refused = refused.to_string();
            let is_told = ["hunter2", "47", "true"]
                .iter()
                .any(|part| refused.contains(part));
            assert!(!is_told, "{plain}: {refused}");
        }
    }
}

#[test]
fn what_is_sealed_as_something_else_is_no_value_of_the_type() {
    let logins = key("logins-1", 7);
    let number = Sealed::new(&4711, &logins.sealing_key(), PURPOSE).unwrap();
    let text = Sealed::<String>::from_bytes(number.as_bytes().to_vec()).unwrap();
    let refused = text.open(&logins, PURPOSE).unwrap_err();
    assert!(matches!(refused, NotOpened::Value));
    assert!(!refused.to_string().contains("4711"));
}

#[test]
fn nothing_is_sealed_to_a_key_that_keeps_no_secret() {
    let weak = SealingKey::from_bytes("weak", &[0; 32]).unwrap();
    let refused = Sealed::new(&1, &weak, PURPOSE).unwrap_err();
    assert!(matches!(refused, NotSealed::Key { ref name } if name == "weak"));
}

/// Sealed by another implementation (pyhpke), as docs/wire-protocol.md says.
#[test]
fn the_bytes_are_those_of_the_page() {
    let shown = include_str!("vector.txt").trim();
    let bytes = Base64::decode_vec(shown).unwrap();
    let value = Sealed::<String>::from_bytes(bytes).unwrap();
    assert_eq!(
        value.open(&key("logins-1", 7), PURPOSE).unwrap(),
        "correct horse"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_opened_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(value) = Sealed::<String>::from_bytes(bytes) {
            prop_assert!(value.open(&key("logins-1", 7), PURPOSE).is_err());
            let shown = format!("{value:?}");
            prop_assert!(shown.starts_with("Sealed"));
        }
    }

    #[test]
    fn any_value_comes_out_as_it_went_in(text in ".{0,200}", purpose in ".{0,40}") {
        let logins = key("logins-1", 7);
        let value = Sealed::new(&text, &logins.sealing_key(), &purpose).unwrap();
        prop_assert_eq!(value.open(&logins, &purpose).unwrap(), text);
    }
}
