//! Tables: what is in them, and how they are made, or made whole.

use super::{Backend, Cells, Dialect, Kind, Statements as _, Table, Value, begin_writing};
use sqlx::Connection;
use std::collections::HashSet;

/// What a table of ours has.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) columns: &'static [Column],
    pub(crate) indexes: &'static [Index],
}

/// A column, as each database has it.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) postgres: &'static str,
    /// `None` of what SQLite has by itself.
    pub(crate) sqlite: Option<&'static str>,
}

/// An index, by the end of its name, and what it is on.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) end: &'static str,
    pub(crate) postgres: &'static str,
    /// `None` of what SQLite has by itself.
    pub(crate) sqlite: Option<&'static str>,
}

/// Makes a table, by statements that are safe to execute by many programs at once, and again.
///
/// ```
/// use replybus_sql::{Dialect, Inbox};
/// use sqlx::{Connection as _, SqliteConnection};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut connection = SqliteConnection::connect("sqlite::memory:").await?;
/// let install = Inbox::named("orders_inbox")?.install();
/// install.run(&mut connection).await?;
/// install.run(&mut connection).await?; // there is nothing to do
/// assert!(install.sql(Dialect::Postgres).starts_with("CREATE TABLE IF NOT EXISTS orders_inbox"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Install {
    table: Table,
    schema: &'static Schema,
}

impl Schema {
    pub(crate) fn of(&'static self, table: &Table) -> Install {
        Install {
            table: table.clone(),
            schema: self,
        }
    }
}

impl Column {
    /// The same in both.
    pub(crate) const fn new(name: &'static str, definition: &'static str) -> Self {
        Self {
            name,
            postgres: definition,
            sqlite: Some(definition),
        }
    }

    /// As it stands in a table; `None` if it stands in none.
    fn definition(&self, dialect: Dialect) -> Option<String> {
        let definition = match dialect {
            Dialect::Postgres => self.postgres,
            Dialect::Sqlite => self.sqlite?,
        };
        Some(format!("{} {definition}", self.name))
    }
}

impl Install {
    /// The statements of a table that is not there yet, for a migration of your own. On one that is
    /// there they do nothing, but for its indexes.
    #[must_use]
    pub fn sql(&self, dialect: Dialect) -> String {
        let columns = self.schema.columns.iter();
        let columns = columns.filter_map(|column| column.definition(dialect));
        let columns = columns.collect::<Vec<_>>().join(",\n    ");
        let table = &self.table;
        let mut sql = format!("CREATE TABLE IF NOT EXISTS {table} (\n    {columns}\n);\n");
        for index in self.indexes(dialect) {
            sql.push_str(&index);
            sql.push_str(";\n");
        }
        sql
    }

    fn indexes(&self, dialect: Dialect) -> Vec<String> {
        let (table, own) = (&self.table, self.table.own());
        let indexes = self.schema.indexes.iter().filter_map(|index| {
            let on = match dialect {
                Dialect::Postgres => index.postgres,
                Dialect::Sqlite => index.sqlite?,
            };
            let end = index.end;
            Some(format!(
                "CREATE INDEX IF NOT EXISTS {own}_{end} ON {table} {on}"
            ))
        });
        indexes.collect()
    }

    /// Makes the table, or adds what one of an older version of this crate has not, in a transaction
    /// of its own. Programs that do so at the same time wait for each other.
    ///
    /// # Errors
    /// Those of the database, such as a right that its user has not.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, all of it is done or nothing.
    pub async fn run<C>(&self, connection: &mut C) -> sqlx::Result<()>
    where
        C: Connection<Database: Backend>,
    {
        let dialect = C::Database::dialect(connection)?;
        let mut transaction = match dialect {
            Dialect::Postgres => connection.begin().await?,
            Dialect::Sqlite => connection.begin_with(begin_writing()).await?,
        };
        for (sql, values) in self.before(dialect) {
            C::Database::execute(&mut transaction, &sql.into(), values).await?;
        }
        let (columns, values) = self.columns(dialect);
        let there = C::Database::fetch(&mut transaction, &columns.into(), values, &[Kind::Text]);
        for sql in self.missing(dialect, there.await?) {
            C::Database::execute(&mut transaction, &sql.into(), Vec::new()).await?;
        }
        transaction.commit().await
    }

    /// Of two that see that a table is not there, the second one would fail to make it.
    fn before(&self, dialect: Dialect) -> Vec<(String, Vec<Value>)> {
        let mut before = Vec::new();
        if dialect == Dialect::Postgres {
            let lock = "SELECT 1 FROM pg_advisory_xact_lock(hashtextextended($1, 0))";
            let name = format!("replybus-sql:{}", self.table);
            before.push((lock.to_owned(), vec![name.into()]));
        }
        let sql = self.sql(dialect);
        let table = sql.split(';').next().unwrap_or_default();
        before.push((table.to_owned(), Vec::new()));
        before
    }

    fn columns(&self, dialect: Dialect) -> (String, Vec<Value>) {
        let columns = match dialect {
            Dialect::Postgres => {
                "SELECT CAST(attname AS TEXT) FROM pg_attribute
                WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped"
            }
            Dialect::Sqlite => "SELECT name FROM pragma_table_info($1)",
        };
        let name = match dialect {
            Dialect::Postgres => self.table.as_str(),
            Dialect::Sqlite => self.table.own(),
        };
        (columns.to_owned(), vec![name.into()])
    }

    fn missing(&self, dialect: Dialect, there: Vec<Cells>) -> Vec<String> {
        let there: HashSet<_> = there.into_iter().filter_map(|mut row| row.text()).collect();
        let columns = self.schema.columns.iter();
        let missing = columns.filter(|column| !there.contains(column.name));
        let missing = missing.filter_map(|column| column.definition(dialect));
        let table = &self.table;
        let mut missing: Vec<_> = missing
            .map(|column| format!("ALTER TABLE {table} ADD COLUMN {column}"))
            .collect();
        missing.extend(self.indexes(dialect));
        missing
    }
}
