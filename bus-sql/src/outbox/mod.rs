//! Events on their way to the broker: put in the transaction of what they tell of, and brought from
//! there by a relay.

mod entry;
mod measure;
mod pauses;
mod prepare;
mod relay;
mod round;
mod statements;
mod stored;

pub use entry::{Entry, InvalidOrderKey};
pub use relay::Relay;

pub(crate) use statements::OUTBOX;

use crate::{
    OutboxError,
    database::{Backend, Dialect, Install, InvalidTable, Statements as _, Table},
};
use replybus::{CallId, Event};
use serde::Serialize;
use sqlx::Connection;
use statements::{PUT_COLUMNS, Puts};
use std::{fmt, sync::Arc};
use tokio::sync::Notify;

/// The name of the table, unless it is given another.
const TABLE: &str = "outbox";

/// A table of events that the broker does not have yet. Clones are the same one.
///
/// An event is [put](Self::put) in the transaction that does what it tells of, and so it is there if
/// and only if that is done. A [`Relay`] brings it to the broker, at least once, and always under the
/// id that it was put under, by which subscribers know it.
///
/// ```
/// use replybus::{Bus, Event};
/// use replybus_sql::{Outbox, Relay};
/// use serde::{Deserialize, Serialize};
/// use sqlx::{Connection as _, sqlite::SqlitePoolOptions};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event("order.paid")]
/// struct OrderPaid { order: u64 }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
/// let (bus, outbox) = (Bus::in_memory(), Outbox::new());
/// outbox.install().run(&mut *pool.acquire().await?).await?;
///
/// let mut transaction = pool.begin().await?;
/// // .. what the event tells of ..
/// outbox.put(&mut *transaction, &OrderPaid { order: 17 }).await?;
/// transaction.commit().await?;
/// outbox.wake();
///
/// let mut paid = bus.listen("replybus.events", "order.paid").await?;
/// let relay = Relay::new(&bus, &outbox, pool.clone());
/// relay.run_until(async {}).await; // in a service, until it is told to stop
/// assert!(paid.next().await.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    table: Table,
    puts: Puts,
    /// Told when there may be something in it.
    filled: Notify,
}

impl Outbox {
    /// That in the table `outbox`.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Table::of_ours(TABLE))
    }

    /// That in a table of this name, which may have a schema in front of it: `orders.outbox`.
    ///
    /// # Errors
    /// The name would need quotes, or is longer than 48 characters.
    pub fn named(table: &str) -> Result<Self, InvalidTable> {
        Ok(Self::of(Table::new(table)?))
    }

    fn of(table: Table) -> Self {
        Self(Arc::new(Inner {
            puts: Puts::into(&table),
            table,
            filled: Notify::new(),
        }))
    }

    /// Makes its table, or says how it is made.
    #[must_use]
    pub fn install(&self) -> Install {
        OUTBOX.of(&self.0.table)
    }

    /// Puts an event in, of a new id and told in the trace of the call that is being served, within
    /// the transaction that does what it tells of: `outbox.put(&mut *transaction, &event)`. Returns
    /// its id.
    ///
    /// # Errors
    /// Those of the database; the event can't be written as JSON, or is larger than
    /// [`REQUEST_BYTES_MAX`](replybus::limits::REQUEST_BYTES_MAX).
    ///
    /// # Cancel safety
    /// That of the transaction.
    pub async fn put<C, E>(&self, connection: &mut C, event: &E) -> Result<CallId, OutboxError>
    where
        C: Connection<Database: Backend>,
        E: Event,
    {
        let entry = Entry::of(event)?;
        self.put_entry(connection, &entry).await?;
        Ok(entry.id())
    }

    /// Puts an event in that has an id, a key or a trace of its own.
    ///
    /// # Errors
    /// Those of the database; there is an event of this id.
    ///
    /// # Cancel safety
    /// That of the transaction.
    pub async fn put_entry<C>(&self, connection: &mut C, entry: &Entry) -> Result<(), OutboxError>
    where
        C: Connection<Database: Backend>,
    {
        C::Database::execute(connection, &self.0.puts.one, entry.values()).await?;
        Ok(())
    }

    /// Puts events in, by one statement however many they are, in their order.
    ///
    /// # Errors
    /// Those of the database; there is an event of one of these ids.
    ///
    /// # Cancel safety
    /// That of the transaction.
    pub async fn put_all<'a, C>(
        &self,
        connection: &mut C,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<(), OutboxError>
    where
        C: Connection<Database: Backend>,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        if entries.is_empty() {
            return Ok(());
        }
        let put = match C::Database::dialect(connection)? {
            Dialect::Postgres => &self.0.puts.all_postgres,
            Dialect::Sqlite => &self.0.puts.all_sqlite,
        };
        let rows = vec![given(&entries)?.into()];
        C::Database::execute(connection, put, rows).await?;
        Ok(())
    }

    /// A statement that puts in what `given` has, a table with the columns of [`Entry::COLUMNS`], or the
    /// beginning of one that goes on with a `JOIN`, say: for a statement of yours that does what is told
    /// of, and puts in who tells of it, at once.
    ///
    /// ```
    /// let told = replybus_sql::Outbox::new().put_from("given");
    /// assert!(told.starts_with("INSERT INTO outbox (id, exchange, "));
    /// assert!(told.ends_with(" FROM given"));
    /// ```
    #[must_use]
    pub fn put_from(&self, given: &str) -> String {
        let (table, columns) = (&self.0.table, PUT_COLUMNS.join(", "));
        let selected = PUT_COLUMNS.map(|name| format!("{given}.{name}")).join(", ");
        format!("INSERT INTO {table} ({columns}, leased_until) SELECT {selected}, 0 FROM {given}")
    }

    /// Tells the relays of this outbox in this process that there is something in it, so that they
    /// look at once: after the transaction is committed. Others look twice in a second by themselves.
    pub fn wake(&self) {
        self.0.filled.notify_one();
    }

    pub(crate) fn table(&self) -> &Table {
        &self.0.table
    }

    pub(crate) fn filled(&self) -> &Notify {
        &self.0.filled
    }
}

/// Rows as the parameter that they are given in.
fn given<T: Serialize>(rows: &[T]) -> sqlx::Result<String> {
    serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()))
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("table", &self.0.table.as_str())
            .finish_non_exhaustive()
    }
}
