//! MessagePack through rmp-serde, with what its defaults leave open closed.

use super::{CodecError, by_name::ByName, too_deep};
use crate::limits::NESTING_DEPTH_MAX;
use rmp_serde::{
    Deserializer, Serializer,
    config::SerializerConfig,
    decode::{Error, ReadSlice},
};
use serde::{
    Deserialize, Serialize,
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
    // Reads texts where they are, without a buffer of its own.
    let mut deserializer = Deserializer::from_read_ref(body).with_human_readable();
    let value = read(&mut deserializer)?;
    // rmp-serde itself stops at the end of the value and accepts anything after it.
    // Of what follows no more than the first byte is read, which is missing at the end only.
    match <()>::deserialize(&mut deserializer) {
        Err(Error::InvalidMarkerRead(_)) => Ok(value),
        _ => Err(CodecError::Decode("more follows the value".to_owned())),
    }
}

/// The length of the one value at the start of `body`.
pub(crate) fn value_len(body: &[u8]) -> Result<usize, CodecError> {
    let mut rest = body;
    let _: IgnoredAny = read(&mut Deserializer::new(&mut rest).with_human_readable())?;
    Ok(body.len() - rest.len())
}

fn read<'de, T, R, C>(deserializer: &mut Deserializer<R, C>) -> Result<T, CodecError>
where
    T: DeserializeOwned,
    R: ReadSlice<'de>,
    C: SerializerConfig,
{
    // The default of 1024 overflows a 2 MiB stack in a debug build: an abort, not an error.
    deserializer.set_max_depth(NESTING_DEPTH_MAX);
    T::deserialize(ByName::<_, true>(deserializer)).map_err(|error| match error {
        Error::DepthLimitExceeded => too_deep(),
        error => CodecError::Decode(error.to_string()),
    })
}
