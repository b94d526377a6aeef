//! Sealed values: of any bytes, and as they travel.

use replybus::{
    ContentType, codec,
    sealed::{OpeningKey, Sealed},
};

/// What the corpus has one of that is whole: see docs/wire-protocol.md.
const NAME: &str = "logins-1";
const PURPOSE: &str = "log in ada";
const TEXT: &str = "correct horse";

pub(crate) fn run(data: &[u8]) {
    if let Some(value) = Sealed::<String>::from_bytes(data.to_vec()) {
        look_at(&value, data);
    }
    for content_type in [ContentType::MessagePack, ContentType::Json] {
        match codec::decode::<Sealed<String>>(content_type, data) {
            Ok(value) => look_at(&value, value.as_bytes()),
            Err(refused) => assert!(refused.to_string().len() < 200, "{refused}"),
        }
    }
}

fn look_at(value: &Sealed<String>, bytes: &[u8]) {
    assert_eq!(value.as_bytes(), bytes);
    assert!((1..=64).contains(&value.key_name().len()));
    assert!(format!("{value:?}").len() < 200);
    let key = OpeningKey::from_bytes(NAME, &[7; 32]).unwrap();
    if let Ok(text) = value.open(&key, PURPOSE) {
        assert_eq!((text.as_str(), value.key_name()), (TEXT, NAME));
    }
    assert!(value.open(&key, "something else").is_err());
    for content_type in [ContentType::MessagePack, ContentType::Json] {
        let body = codec::encode(content_type, value, usize::MAX).unwrap();
        let back: Sealed<String> = codec::decode(content_type, &body).unwrap();
        assert_eq!(&back, value);
    }
}
