//! Encodings: values to bytes and back. Nothing else names one.

mod by_name;
mod content_type;
mod json;
mod msgpack;
mod written;

pub use content_type::ContentType;

use crate::limits::NESTING_DEPTH_MAX;
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// A body can't be encoded or decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value can't be encoded.
    #[error("the value can't be encoded")]
    Encode(#[source] crate::error::BoxError),
    /// The bytes are not an encoding of the expected type.
    #[error("the body can't be decoded: {0}")]
    Decode(String),
    /// The bytes are more than allowed.
    #[error("the body has {bytes} bytes, {max} are allowed")]
    #[non_exhaustive]
    TooLarge {
        /// The bytes there are.
        bytes: usize,
        /// The bytes that are allowed.
        max: usize,
    },
    /// The content type is none of ours.
    #[error("content type {0:?} is not known, application/msgpack and application/json are")]
    UnknownContentType(String),
}

/// Encodes a value as it travels: structs as maps by name, so that fields can be added.
///
/// ```
/// use replybus::{ContentType, codec};
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// struct Entry { amount: u64 }
///
/// let body = codec::encode(ContentType::Json, &Entry { amount: 5 }, 1024)?;
/// assert_eq!(body, r#"{"amount":5}"#);
/// assert!(codec::encode(ContentType::Json, &Entry { amount: 5 }, 3).is_err());
/// # Ok::<(), codec::CodecError>(())
/// ```
///
/// # Errors
/// Its `Serialize` fails, or the encoding has more than `bytes_max` bytes.
pub fn encode<T: Serialize + ?Sized>(
    content_type: ContentType,
    value: &T,
    bytes_max: usize,
) -> Result<Bytes, CodecError> {
    written(|body| {
        append(content_type, value, body)?;
        check_size(body.len(), bytes_max)
    })
}

/// Appends the encoding of a value to `body`.
pub(crate) fn append<T: Serialize + ?Sized>(
    content_type: ContentType,
    value: &T,
    body: &mut Vec<u8>,
) -> Result<(), CodecError> {
    match content_type {
        ContentType::MessagePack => msgpack::append(value, body),
        ContentType::Json => json::append(value, body),
    }
}

/// A text that is JSON already, as it is, if a reader would take it.
pub(crate) fn json_text(text: &str, bytes_max: usize) -> Result<Bytes, CodecError> {
    check_size(text.len(), bytes_max)?;
    json::decode::<serde_json::Value>(text.as_bytes())?;
    Ok(Bytes::copy_from_slice(text.as_bytes()))
}

/// Decodes a value: all of the bytes, no deeper than [`NESTING_DEPTH_MAX`], and structs by the
/// names of their fields only.
///
/// ```
/// use replybus::{ContentType, codec};
///
/// let amount: u64 = codec::decode(ContentType::Json, b"5")?;
/// assert_eq!(amount, 5);
/// assert!(codec::decode::<u64>(ContentType::Json, b"5 and more").is_err());
/// # Ok::<(), codec::CodecError>(())
/// ```
///
/// # Errors
/// The bytes are no encoding of a `T`, are nested too deep, or go on after it.
pub fn decode<T: DeserializeOwned>(
    content_type: ContentType,
    body: &[u8],
) -> Result<T, CodecError> {
    match content_type {
        ContentType::MessagePack => msgpack::decode(body),
        ContentType::Json => json::decode(body),
    }
}

pub(crate) use msgpack::value_len;
pub(crate) use written::written;

pub(crate) fn check_size(bytes: usize, max: usize) -> Result<(), CodecError> {
    if bytes > max {
        return Err(CodecError::TooLarge { bytes, max });
    }
    Ok(())
}

fn too_deep() -> CodecError {
    CodecError::Decode(format!("nested deeper than {NESTING_DEPTH_MAX} levels"))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod what_travels;
