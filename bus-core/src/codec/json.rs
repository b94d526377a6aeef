//! JSON through serde_json, with our own depth limit before it.

use super::{CodecError, by_name::ByName, too_deep};
use crate::limits::NESTING_DEPTH_MAX;
use serde::{Serialize, de::DeserializeOwned};

pub(super) fn append<T: Serialize + ?Sized>(
    value: &T,
    body: &mut Vec<u8>,
) -> Result<(), CodecError> {
    serde_json::to_writer(body, value).map_err(|error| CodecError::Encode(error.into()))
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, CodecError> {
    if depth(body) > NESTING_DEPTH_MAX {
        return Err(too_deep());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    T::deserialize(ByName::<_, false>(&mut deserializer))
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| CodecError::Decode(error.to_string()))
}

/// The deepest nesting of brackets outside strings.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::depth;

    #[test]
    fn counts_brackets_outside_strings() {
        for (body, expected) in [
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[1,{"b":2}]}"#, 3),
            (r#""[[[[""#, 0),
            (r#"["\"[[[",[]]"#, 2),
            ("]]][", 1),
        ] {
            assert_eq!(depth(body.as_bytes()), expected, "{body}");
        }
    }
}
