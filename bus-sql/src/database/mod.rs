//! The databases that tables of ours can be in, as far as one differs from the other.

mod backend;
mod connections;
mod schema;
mod table;

pub use backend::Backend;
pub use connections::Connections;
pub use schema::Install;
pub use table::InvalidTable;

pub(crate) use backend::{Cells, Kind, Statements, Value};
pub(crate) use schema::{Column, Index, Schema};
pub(crate) use table::Table;

use sqlx::{SqlSafeStr as _, SqlStr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a database understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl Dialect {
    /// The end of a `SELECT` whose rows are left out where others have them, and nobody else's until
    /// the statement ends.
    pub(crate) const fn skip_locked(self) -> &'static str {
        match self {
            Self::Postgres => " FOR UPDATE SKIP LOCKED",
            // Only one transaction writes at a time.
            Self::Sqlite => "",
        }
    }

    /// The rows in the parameter of this number, a JSON array of objects, as a table of this name.
    pub(crate) fn given(self, parameter: u8, name: &str, columns: &[(&str, Kind)]) -> String {
        let columns = columns.iter();
        match self {
            Self::Postgres => {
                let columns = columns.map(|(name, kind)| format!("{name} {}", kind.word()));
                let columns = columns.collect::<Vec<_>>().join(", ");
                format!("json_to_recordset(CAST(${parameter} AS JSON)) AS {name} ({columns})")
            }
            Self::Sqlite => {
                let columns = columns.map(|(name, _)| format!("value ->> '{name}' AS {name}"));
                let columns = columns.collect::<Vec<_>>().join(", ");
                format!("(SELECT {columns} FROM json_each(${parameter})) AS {name}")
            }
        }
    }
}

/// How a transaction that writes begins in SQLite: one that reads first and then writes would fail when
/// it writes.
pub(crate) fn begin_writing() -> SqlStr {
    // Of this type, because futures that hold a `&'static str` for it can't be sent between threads.
    "BEGIN IMMEDIATE".into_sql_str()
}

/// Now, as it is stored: microseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    micros(since.unwrap_or_default())
}

/// That long from now, as it is stored.
pub(crate) fn after(pause: Duration) -> i64 {
    now().saturating_add(micros(pause))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
