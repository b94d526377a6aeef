//! A value that is sealed.

use super::{
    content,
    frame::{Frame, head},
    key::{OpeningKey, SealingKey},
};
use crate::{
    ContentType,
    codec::{self, CodecError},
};
use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use hpke::{
    Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _, aead::ChaCha20Poly1305,
    kdf::HkdfSha256, kem::X25519HkdfSha256, single_shot_open, single_shot_seal,
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error, SeqAccess, Visitor},
};
use std::{fmt, marker::PhantomData};
use zeroize::Zeroizing;

/// Set before the purpose, so that nothing else that is sealed to a key is taken for one of these.
const INFO: &str = "replybus sealed\n";

/// Bytes that are taken of a sealed value whose length is not known before.
const EXPECTED: usize = 256;

/// A value that only who has the [`OpeningKey`] can read: see [the module](super).
///
/// It travels as a text of Base64 (RFC 4648, section 4), and is read as bytes, too. Before that it is 54
/// bytes and the name of its key longer than the value as MessagePack, and what is filled up: to within
/// 64 bytes its length tells that of the value. `Debug` shows the name of the key and the length.
pub struct Sealed<T> {
    bytes: Bytes,
    of: PhantomData<fn() -> T>,
}

/// A value could not be sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotSealed {
    /// It can't be encoded.
    #[error("the value can't be sealed")]
    Value(#[source] CodecError),
    /// No key can be agreed on with it: it is one of a few that give no secrecy (RFC 7748, section
    /// 6.1).
    #[error("nothing can be sealed to the key {name:?}")]
    #[non_exhaustive]
    Key {
        /// Its name.
        name: String,
    },
}

/// A sealed value could not be opened. Nothing of it is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotOpened {
    /// It is sealed to a key that is not there.
    #[error("it is sealed to the key {name:?}, which is not here")]
    #[non_exhaustive]
    UnknownKey {
        /// The name of the key.
        name: String,
    },
    /// It was altered, sealed for another purpose, or to another key of the same name.
    #[error("it was altered, or sealed for another purpose or to another key of that name")]
    Refused,
    /// What was sealed is no such value. What the decoder says of it is left out: it may name a part.
    #[error("what was sealed is no value of this type")]
    Value,
}

impl<T> Sealed<T> {
    /// Seals a value to a key, for a purpose: a text that who opens it has to know, such as the method
    /// and whose password it is. It is neither in what is sealed nor beside it.
    ///
    /// # Errors
    /// The value can't be encoded, or the key is none that keeps secrets.
    ///
    /// # Panics
    /// The system has no randomness to give.
    pub fn new(value: &T, key: &SealingKey, purpose: &str) -> Result<Self, NotSealed>
    where
        T: Serialize,
    {
        let content = content::write(value).map_err(NotSealed::Value)?;
        let mut bytes = head(key.name());
        let sealed = single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            key.key(),
            &info(purpose),
            &content,
            &bytes,
        );
        let name = || key.name().to_owned();
        let (encapsulated, encrypted) = sealed.map_err(|_| NotSealed::Key { name: name() })?;
        bytes.extend_from_slice(&encapsulated.to_bytes());
        bytes.extend_from_slice(&encrypted);
        Ok(Self::of(bytes.into()))
    }

    /// The value, for the purpose that it was sealed for.
    ///
    /// # Errors
    /// It was not sealed to this key or one that it replaces, or not for this purpose; it was altered;
    /// or what was sealed is no `T`.
    pub fn open(&self, key: &OpeningKey, purpose: &str) -> Result<T, NotOpened>
    where
        T: DeserializeOwned,
    {
        let frame = Frame::read(&self.bytes).ok_or(NotOpened::Refused)?;
        let unknown = || NotOpened::UnknownKey {
            name: frame.key.to_owned(),
        };
        let mut keys = key.named(frame.key).peekable();
        keys.peek().ok_or_else(unknown)?;
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(frame.encapsulated);
        let encapsulated = encapsulated.map_err(|_| NotOpened::Refused)?;
        let content = keys.find_map(|key| {
            let content = single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
                &OpModeR::Base,
                key,
                &encapsulated,
                &info(purpose),
                frame.encrypted,
                frame.head,
            );
            content.ok()
        });
        let content = Zeroizing::new(content.ok_or(NotOpened::Refused)?);
        let value = content::read(&content).ok_or(NotOpened::Value)?;
        codec::decode(ContentType::MessagePack, value).map_err(|_| NotOpened::Value)
    }

    /// The name of the key that it is sealed to.
    #[must_use]
    pub fn key_name(&self) -> &str {
        Frame::read(&self.bytes).map_or("", |frame| frame.key)
    }

    /// Its bytes, as they travel.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What travelled, if it can be a sealed value.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Option<Self> {
        let bytes = bytes.into();
        Frame::read(&bytes)?;
        Some(Self::of(bytes))
    }

    fn of(bytes: Bytes) -> Self {
        Self {
            bytes,
            of: PhantomData,
        }
    }
}

fn info(purpose: &str) -> Vec<u8> {
    [INFO.as_bytes(), purpose.as_bytes()].concat()
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self::of(self.bytes.clone())
    }
}

/// Of the bytes: no two that are made are equal, also of one value.
impl<T> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Sealed<T> {}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("key", &self.key_name())
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

impl<T> Serialize for Sealed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Our MessagePack counts as readable, too: what travels has one form.
        if serializer.is_human_readable() {
            serializer.serialize_str(&Base64::encode_string(&self.bytes))
        } else {
            serializer.serialize_bytes(&self.bytes)
        }
    }
}

impl<'de, T> Deserialize<'de> for Sealed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = if deserializer.is_human_readable() {
            deserializer.deserialize_str(SealedBytes)
        } else {
            deserializer.deserialize_byte_buf(SealedBytes)
        };
        // What it is instead is not repeated: somebody may have forgotten to seal it.
        let sealed = bytes.ok().and_then(Self::from_bytes);
        sealed.ok_or_else(|| D::Error::custom("it is no sealed value"))
    }
}

struct SealedBytes;

impl<'de> Visitor<'de> for SealedBytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sealed value: bytes, or a text of Base64")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        Base64::decode_vec(text).map_err(E::custom)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::with_capacity(items.size_hint().unwrap_or(0).min(EXPECTED));
        while let Some(byte) = items.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

#[cfg(feature = "schema")]
impl<T> schemars::JsonSchema for Sealed<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sealed".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "contentEncoding": "base64" })
    }
}

#[cfg(test)]
mod tests;
