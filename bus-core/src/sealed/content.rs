//! What is sealed: a value as MessagePack, after its length and before zeros.

use crate::{
    ContentType,
    codec::{self, CodecError},
};
use serde::Serialize;
use zeroize::Zeroizing;

/// Bytes of the length.
const LENGTH: usize = 4;
/// What is sealed has a multiple of so many bytes.
const STEP: usize = 64;
/// Values up to this are not copied as they are written, so that nothing of them is left behind.
const SMALL: usize = 4096;

pub(super) fn write<T: Serialize>(value: &T) -> Result<Zeroizing<Vec<u8>>, CodecError> {
    let mut content = Zeroizing::new(Vec::with_capacity(SMALL));
    content.extend_from_slice(&[0; LENGTH]);
    codec::append(ContentType::MessagePack, value, &mut content)?;
    let bytes = content.len() - LENGTH;
    let too_large = |_| CodecError::TooLarge {
        bytes,
        max: u32::MAX as usize,
    };
    let length = u32::try_from(bytes).map_err(too_large)?;
    if let Some(place) = content.first_chunk_mut() {
        *place = length.to_be_bytes();
    }
    let filled = content.len().next_multiple_of(STEP);
    content.resize(filled, 0);
    Ok(content)
}

/// The encoding in it, if its length is one.
pub(super) fn read(content: &[u8]) -> Option<&[u8]> {
    let (length, rest) = content.split_first_chunk::<LENGTH>()?;
    rest.get(..u32::from_be_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_filled_up_and_comes_out_as_it_went_in() {
        let mut lengths = Vec::new();
        for length in [0, 1, 8, 58, 59, 60, 5_000] {
            let text = "x".repeat(length);
            let content = write(&text).unwrap();
            let back: String =
                codec::decode(ContentType::MessagePack, read(&content).unwrap()).unwrap();
            assert_eq!(back, text);
            lengths.push(content.len());
        }
        assert_eq!(lengths, [64, 64, 64, 64, 128, 128, 5_056]);
    }

    #[test]
    fn a_length_that_is_none_is_refused() {
        for content in [&[][..], &[0, 0, 0], &[0, 0, 0, 1], &[0xff; 64]] {
            assert_eq!(read(content), None, "{content:?}");
        }
        assert_eq!(read(&[0, 0, 0, 0]), Some(&[][..]));
    }
}
