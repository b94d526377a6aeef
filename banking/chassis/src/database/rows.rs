//! Rows that a statement is given all at once.
//!
//! One parameter holds them, as a JSON array of objects: a statement is the same for any number of
//! rows, so that connections keep it prepared, and both databases can read it.

use super::{Database, Kind};
use serde::Serialize;
use sqlx::Error;

/// A column of given rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// `TEXT` of this name.
    Text(&'static str),
    /// `BIGINT` of this name.
    Integer(&'static str),
}

impl Database {
    /// The rows in the parameter of this number as a table for a `FROM`, such as
    /// `given (id, amount)`. What a row leaves out is `NULL`.
    #[must_use]
    pub fn given(&self, parameter: u8, name: &str, columns: &[Column]) -> String {
        let columns = columns.iter();
        match self.kind {
            Kind::Postgres => {
                let columns = columns.map(|column| match column {
                    Column::Text(name) => format!("{name} TEXT"),
                    Column::Integer(name) => format!("{name} BIGINT"),
                });
                let columns: Vec<_> = columns.collect();
                let columns = columns.join(", ");
                format!("json_to_recordset(CAST(${parameter} AS JSON)) AS {name} ({columns})")
            }
            Kind::Sqlite => {
                let columns = columns.map(|column| {
                    let (Column::Text(name) | Column::Integer(name)) = column;
                    format!("value ->> '{name}' AS {name}")
                });
                let columns: Vec<_> = columns.collect();
                let columns = columns.join(", ");
                format!("(SELECT {columns} FROM json_each(${parameter})) AS {name}")
            }
        }
    }
}

/// Rows as the parameter that they are given in.
///
/// # Errors
/// One can't be written as JSON.
pub fn rows<T: Serialize>(rows: &[T]) -> sqlx::Result<String> {
    serde_json::to_string(rows).map_err(|error| Error::Encode(error.into()))
}
