//! MessagePack through rmp-serde, with what its defaults leave open closed.

use super::{CodecError, by_name::ByName, too_deep};
use crate::limits::NESTING_DEPTH_MAX;
use rmp_serde::{Deserializer, Serializer, decode::Error};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

/// Structs as named maps: a positional array would let two fields of one type trade places. Types
/// with two forms, such as UUIDs and addresses, in the one for people: where serde buffers a value,
/// it reads no other, and so does every other language.
pub(super) fn append<T: Serialize + ?Sized>(
    value: &T,
    body: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let mut serializer = Serializer::new(body)
        .with_struct_map()
        .with_human_readable();
    value
        .serialize(&mut serializer)
        .map_err(|error| CodecError::Encode(error.into()))
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, CodecError> {
    let mut rest = body;
    let value = read(&mut rest)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        // rmp-serde itself stops at the end of the value and accepts anything after it.
        Err(CodecError::Decode(format!(
            "{} bytes follow the value",
            rest.len()
        )))
    }
}

/// The length of the one value at the start of `body`.
pub(crate) fn value_len(body: &[u8]) -> Result<usize, CodecError> {
    let mut rest = body;
    let _: IgnoredAny = read(&mut rest)?;
    Ok(body.len() - rest.len())
}

fn read<T: DeserializeOwned>(rest: &mut &[u8]) -> Result<T, CodecError> {
    let mut deserializer = Deserializer::new(rest).with_human_readable();
    // The default of 1024 overflows a 2 MiB stack in a debug build: an abort, not an error.
    deserializer.set_max_depth(NESTING_DEPTH_MAX);
    T::deserialize(ByName::<_, true>(&mut deserializer)).map_err(|error| match error {
        Error::DepthLimitExceeded => too_deep(),
        error => CodecError::Decode(error.to_string()),
    })
}
