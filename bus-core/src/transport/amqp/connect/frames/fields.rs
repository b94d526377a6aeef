//! The values a frame is made of, taken off its front one after the other: integers, strings and
//! field tables, under the rules of lapin's parser. What passes here it can read.

use crate::limits::HEADER_DEPTH_MAX;
use std::fmt;

/// The fault of a value that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end within it.
    Ends,
    /// A text that is not UTF-8.
    NotUtf8,
    /// A type of value that is not in use.
    UnknownType(u8),
    /// Tables and arrays in each other, more levels of them than are read.
    Deep,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends => f.write_str("ends before its length"),
            Self::NotUtf8 => f.write_str("is not UTF-8"),
            Self::UnknownType(tag) => write!(f, "has a value of the unknown type {tag:#04x}"),
            Self::Deep => write!(f, "nests more than {HEADER_DEPTH_MAX} levels"),
        }
    }
}

/// Bytes that are read from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Fault::Ends)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Fault::Ends)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    /// The bytes of a short string, whatever they hold.
    pub(super) fn short_bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.u8()?;
        self.take(length.into())
    }

    /// A short string; past it also when it is not UTF-8.
    pub(super) fn short(&mut self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.short_bytes()?).map_err(|_| Fault::NotUtf8)
    }

    /// The bytes after a length of four.
    pub(super) fn long(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| Fault::Ends)?)
    }

    /// A table; past it also when its entries can't be read, unless its length is wrong.
    pub(super) fn table(&mut self) -> Result<(), Fault> {
        let entries = self.long()?;
        check(entries, true, 1)
    }

    /// The value of a header, its type first. Past it also when it can't be read, as far as its
    /// length is known: not after [`Fault::UnknownType`] or [`Fault::Ends`] of its own.
    pub(super) fn value(&mut self) -> Result<(), ValueFault> {
        let tag = self.u8().map_err(ValueFault::Lost)?;
        match nested(tag) {
            Some(is_table) => {
                let within = self.long().map_err(ValueFault::Lost)?;
                // The table of headers is the first level, this the second.
                check(within, is_table, 2).map_err(ValueFault::Within)
            }
            None => self.scalar(tag).map_err(ValueFault::Lost),
        }
    }

    /// Takes a value that holds no others.
    fn scalar(&mut self, tag: u8) -> Result<(), Fault> {
        let length = match tag {
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'U' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'L' | b'l' | b'd' | b'T' => 8,
            b'S' | b'x' => return self.long().map(drop),
            _ => return Err(Fault::UnknownType(tag)),
        };
        self.take(length).map(drop)
    }
}

/// The fault of one header's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueFault {
    /// Of what is nested in it; the next header can be read.
    Within(Fault),
    /// Its end is not known.
    Lost(Fault),
}

/// `true` for a table, `false` for an array.
const fn nested(tag: u8) -> Option<bool> {
    match tag {
        b'F' => Some(true),
        b'A' => Some(false),
        _ => None,
    }
}

/// Checks a table or array, which is itself at `level`, in a loop: how deep it goes is decided by
/// others' bytes, which must not decide how much of the stack is used.
fn check(bytes: &[u8], is_table: bool, level: usize) -> Result<(), Fault> {
    let mut left = Fields(bytes);
    let mut is_table = is_table;
    // What is left of those around the one that is looked at.
    let mut around = Vec::new();
    loop {
        if left.is_empty() {
            let Some(outer) = around.pop() else {
                return Ok(());
            };
            (left, is_table) = outer;
            continue;
        }
        if is_table {
            left.short()?;
        }
        let tag = left.u8()?;
        let Some(inner_is_table) = nested(tag) else {
            left.scalar(tag)?;
            continue;
        };
        let within = left.long()?;
        if level + around.len() >= HEADER_DEPTH_MAX {
            return Err(Fault::Deep);
        }
        around.push((left, is_table));
        (left, is_table) = (Fields(within), inner_is_table);
    }
}
