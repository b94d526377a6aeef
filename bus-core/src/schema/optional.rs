//! Whether a field of a type may be missing: asked of the type as serde does when one is.

use serde::{
    Deserializer,
    de::{DeserializeOwned, Error as _, Visitor, value::Error},
    forward_to_deserialize_any,
};

/// `true` if serde makes a value of this type of a field that is not there, as it does of an
/// `Option`, and of what is one but in name.
pub(super) fn is_optional<T: DeserializeOwned>() -> bool {
    T::deserialize(Missing).is_ok()
}

/// A field that is not there.
struct Missing;

impl<'de> Deserializer<'de> for Missing {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("missing"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Through {
        _option: Option<u8>,
    }

    #[derive(Deserialize)]
    struct Holding {
        #[serde(rename = "option")]
        _option: Option<u8>,
    }

    #[test]
    fn options_are_optional_and_what_is_one_but_in_name() {
        assert!(is_optional::<Option<u8>>());
        assert!(is_optional::<Through>());
        assert!(!is_optional::<Holding>());
        assert!(!is_optional::<u8>());
        assert!(!is_optional::<Vec<u8>>());
        assert!(!is_optional::<()>());
        assert!(!is_optional::<Vec<Option<u8>>>());
    }
}
