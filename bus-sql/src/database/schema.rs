//! Tables: what is in them, and how they are made, or made whole.

use super::{Backend, Cells, Dialect, Kind, Statements as _, Table, begin_writing};
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

    /// Makes the table, or adds what one of an older version of this crate has not. Programs that do so
    /// at the same time wait for each other.
    ///
    /// # Errors
    /// Those of the database, such as a right that its user has not.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, all of it is done or nothing, and the connection can be used for
    /// something else.
    pub async fn run<C>(&self, connection: &mut C) -> sqlx::Result<()>
    where
        C: Connection<Database: Backend>,
    {
        match C::Database::dialect(connection)? {
            Dialect::Postgres => {
                let sql = self.on_postgres();
                C::Database::execute(connection, &sql.into(), Vec::new()).await?;
                Ok(())
            }
            Dialect::Sqlite => self.run_on_sqlite(connection).await,
        }
    }

    /// All of it as one statement. A transaction whose `BEGIN` is dropped on its way is one that the
    /// server has and sqlx knows nothing of, and would go back into a pool with its connection.
    fn on_postgres(&self) -> String {
        let table = &self.table;
        // Of two that see that a table is not there, the second one would fail to make it.
        let lock =
            format!("PERFORM pg_advisory_xact_lock(hashtextextended('replybus-sql:{table}', 0))");
        let mut steps = vec![lock, self.create(Dialect::Postgres)];
        for column in self.schema.columns {
            let Some(definition) = column.definition(Dialect::Postgres) else {
                continue;
            };
            // Asked before, because it locks the table and takes a right, though there is nothing to do.
            steps.push(format!(
                "IF NOT EXISTS (SELECT 1 FROM pg_attribute
                    WHERE attrelid = to_regclass('{table}') AND attname = '{}'
                    AND attnum > 0 AND NOT attisdropped)
                THEN ALTER TABLE {table} ADD COLUMN {definition}; END IF",
                column.name
            ));
        }
        steps.extend(self.indexes(Dialect::Postgres));
        format!("DO $$ BEGIN {}; END $$", steps.join(";\n"))
    }

    async fn run_on_sqlite<C>(&self, connection: &mut C) -> sqlx::Result<()>
    where
        C: Connection<Database: Backend>,
    {
        let mut transaction = connection.begin_with(begin_writing()).await?;
        let create = self.create(Dialect::Sqlite);
        C::Database::execute(&mut transaction, &create.into(), Vec::new()).await?;
        let columns = "SELECT name FROM pragma_table_info($1)".to_owned();
        let values = vec![self.table.own().into()];
        let there = C::Database::fetch(&mut transaction, &columns.into(), values, &[Kind::Text]);
        for sql in self.missing_on_sqlite(there.await?) {
            C::Database::execute(&mut transaction, &sql.into(), Vec::new()).await?;
        }
        transaction.commit().await
    }

    /// The statement that makes the table.
    fn create(&self, dialect: Dialect) -> String {
        let sql = self.sql(dialect);
        sql.split(';').next().unwrap_or_default().to_owned()
    }

    fn missing_on_sqlite(&self, there: Vec<Cells>) -> Vec<String> {
        let there: HashSet<_> = there.into_iter().filter_map(|mut row| row.text()).collect();
        let columns = self.schema.columns.iter();
        let missing = columns.filter(|column| !there.contains(column.name));
        let missing = missing.filter_map(|column| column.definition(Dialect::Sqlite));
        let table = &self.table;
        let mut missing: Vec<_> = missing
            .map(|column| format!("ALTER TABLE {table} ADD COLUMN {column}"))
            .collect();
        missing.extend(self.indexes(Dialect::Sqlite));
        missing
    }
}
