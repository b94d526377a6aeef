//! Keys: what calls are kept in order by.

use std::{borrow::Cow, rc::Rc, sync::Arc};

/// What the calls of a contract with partitions are kept in order by: the account, the order, the
/// tenant. Implemented for text and for integers.
///
/// A key has a canonical text, by which both sides find its partition: of a text itself, of an
/// integer its decimal digits, after a minus sign if it is negative. A type of your own says what
/// its text is, and that it is always the same:
///
/// ```
/// use replybus::PartitionKey;
/// use std::borrow::Cow;
///
/// struct Iban(String);
///
/// impl PartitionKey for Iban {
///     fn key_text(&self) -> Cow<'_, str> {
///         Cow::Borrowed(&self.0)
///     }
/// }
/// # assert_eq!(Iban("AT61".into()).key_text(), "AT61");
/// ```
#[diagnostic::on_unimplemented(
    message = "calls can't be kept in order by a `{Self}`",
    label = "not a key of a partition",
    note = "text and integers are keys; a type of your own implements `replybus::PartitionKey`"
)]
pub trait PartitionKey {
    /// The canonical text of the key.
    fn key_text(&self) -> Cow<'_, str>;
}

impl PartitionKey for str {
    fn key_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl PartitionKey for String {
    fn key_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

/// Those whose text is made.
macro_rules! shown {
    ($($key:ty)*) => {
        $(impl PartitionKey for $key {
            fn key_text(&self) -> Cow<'_, str> {
                Cow::Owned(self.to_string())
            }
        })*
    };
}

shown!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize crate::CallId);

/// Those that hold a key.
macro_rules! within {
    ($($holder:ty)*) => {
        $(impl<K: PartitionKey + ?Sized> PartitionKey for $holder {
            fn key_text(&self) -> Cow<'_, str> {
                (**self).key_text()
            }
        })*
    };
}

within!(&K Box<K> Rc<K> Arc<K>);

/// The hash of a key: the CRC-32 of its text (ISO-HDLC, as zip and zlib have it).
pub(crate) fn hash(key: &(impl PartitionKey + ?Sized)) -> u32 {
    let text = key.key_text();
    let crc = text.bytes().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| match crc & 1 {
            1 => (crc >> 1) ^ 0xedb8_8320,
            _ => crc >> 1,
        })
    });
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By Python's `zlib.crc32(key.encode())`.
    #[test]
    fn the_hash_is_the_one_that_every_language_has() {
        for (text, crc) in [
            ("", 0),
            ("123456789", 0xcbf4_3926),
            ("DE-1", 0x3297_0588),
            ("größe", 0x5bd3_a989),
        ] {
            assert_eq!(hash(text), crc, "{text:?}");
        }
    }

    #[test]
    fn a_key_is_its_text_however_it_is_held() {
        assert_eq!(hash(&17_u64), hash("17"));
        assert_eq!(hash(&i128::MIN), hash(&i128::MIN.to_string()));
        assert_eq!(hash(&-1_i8), hash("-1"));
        assert_eq!(hash(&Arc::new(Box::new("a".to_owned()))), hash("a"));
    }
}
