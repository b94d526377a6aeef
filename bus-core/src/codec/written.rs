//! Encoded bytes, as they are written: most bodies and replies are small, and there are two to each
//! call.

use bytes::Bytes;
use std::cell::Cell;

/// Bytes up to which an encoding is one allocation with its count of references; in between it
/// would be two, one for the bytes and one for the count.
const SMALL: usize = 64;
const MEDIUM: usize = 192;

/// Bytes that a thread keeps to write into.
const KEPT_MAX: usize = 4096;

thread_local! {
    /// Taken while it is written into: what is encoded may encode something else on its way.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The bytes that `write` appends to an empty buffer.
pub(crate) fn written<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Bytes, E> {
    let mut buffer = BUFFER.take();
    buffer.clear();
    let result = write(&mut buffer);
    if buffer.capacity() > KEPT_MAX {
        return result.map(|()| buffer.into());
    }
    let bytes = result.map(|()| copied(&buffer));
    BUFFER.set(buffer);
    bytes
}

fn copied(bytes: &[u8]) -> Bytes {
    match bytes.len() {
        0 => Bytes::new(),
        1..=SMALL => Bytes::from_owner(Inline::<SMALL>::of(bytes)),
        65..=MEDIUM => Bytes::from_owner(Inline::<MEDIUM>::of(bytes)),
        _ => Bytes::copy_from_slice(bytes),
    }
}

/// Up to `MAX` bytes where it stands.
struct Inline<const MAX: usize> {
    bytes: [u8; MAX],
    len: usize,
}

impl<const MAX: usize> Inline<MAX> {
    fn of(from: &[u8]) -> Self {
        let mut bytes = [0; MAX];
        let len = from.len().min(MAX);
        for (to, from) in bytes.iter_mut().zip(from) {
            *to = *from;
        }
        Self { bytes, len }
    }
}

impl<const MAX: usize> AsRef<[u8]> for Inline<MAX> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn bytes_of_all_lengths_come_out_as_they_were_written() {
        for len in (0..2 * MEDIUM).chain([KEPT_MAX, KEPT_MAX + 1, 100_000]) {
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(len).collect();
            let out = written(|buffer| {
                buffer.extend_from_slice(&bytes);
                Ok::<(), Infallible>(())
            });
            assert_eq!(out.unwrap(), bytes);
        }
    }

    #[test]
    fn one_is_written_while_another_is() {
        let inner = |buffer: &mut Vec<u8>| {
            buffer.push(1);
            Ok::<(), Infallible>(())
        };
        let outer = written(|buffer| {
            buffer.push(0);
            buffer.extend_from_slice(&written(inner)?);
            Ok::<(), Infallible>(())
        });
        assert_eq!(outer.unwrap(), &[0, 1][..]);
    }

    #[test]
    fn what_a_failure_left_is_gone() {
        let failed = written(|buffer| {
            buffer.push(0);
            Err(())
        });
        assert_eq!(failed, Err(()));
        let empty = written(|_| Ok::<(), Infallible>(()));
        assert_eq!(empty.unwrap(), Bytes::new());
    }
}
