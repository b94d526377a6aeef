//! The name of a table, which is a part of statements.

use std::fmt;

/// Characters of the longest name: PostgreSQL cuts what is longer than 63, and names of indexes are
/// made of those of tables.
const CHARS_MAX: usize = 48;

/// A name that can stand in a statement as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table(String);

/// The name of a table is not `a-z`, `0-9` and `_`, up to 48 of them and no digit first; or it has
/// a schema in front of it that is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the table {name:?} can't be named so: a name is a-z, 0-9 and _, up to {CHARS_MAX} of them and \
     no digit first, with a schema of such a name and a dot in front of it if need be"
)]
pub struct InvalidTable {
    name: String,
}

impl Table {
    pub(crate) fn new(name: &str) -> Result<Self, InvalidTable> {
        let (schema, table) = name.split_once('.').unwrap_or(("public", name));
        if is_plain(schema) && is_plain(table) {
            Ok(Self(name.to_owned()))
        } else {
            let name = name.to_owned();
            Err(InvalidTable { name })
        }
    }

    /// A name of ours, which is plain.
    pub(crate) fn of_ours(name: &'static str) -> Self {
        debug_assert!(is_plain(name));
        Self(name.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its schema.
    pub(crate) fn own(&self) -> &str {
        self.0.split_once('.').map_or(&self.0, |(_, own)| own)
    }
}

fn is_plain(name: &str) -> bool {
    let is_part = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    name.len() <= CHARS_MAX
        && name.bytes().all(is_part)
        && name
            .bytes()
            .next()
            .is_some_and(|first| !first.is_ascii_digit())
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_no_quotes_is_a_name() {
        for name in ["outbox", "orders.outbox_2", "_", &"a".repeat(CHARS_MAX)] {
            assert_eq!(Table::new(name).unwrap().as_str(), name);
        }
        let long = "a".repeat(CHARS_MAX + 1);
        for name in [
            "", "2", "Outbox", "out box", "a.b.c", ".a", "a;", "é", &long,
        ] {
            let refused = Table::new(name).unwrap_err();
            assert!(refused.to_string().contains("a-z"), "{refused}");
        }
        assert_eq!(Table::new("orders.outbox").unwrap().own(), "outbox");
    }
}
