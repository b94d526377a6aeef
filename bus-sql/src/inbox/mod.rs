//! What was asked and answered, kept in the transaction of what was done.

mod once;
mod request;
mod sweep;

pub use request::Request;
pub use sweep::Sweep;

use crate::{
    InboxError,
    database::{
        Backend, Cells, Column, Index, Install, InvalidTable, Kind, Schema, Statements as _, Table,
        after,
    },
};
use replybus::{ContentType, codec, limits::REPLY_BYTES_MAX};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::Connection;
use std::{fmt, sync::Arc, time::Duration};

/// The name of the table, unless it is given another.
const TABLE: &str = "inbox";

/// Requests are remembered for so long: for seven times what the bus remembers a key for, because a
/// dead letter may be put back after a weekend.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Times that an entry is looked for: it can be swept away between two statements.
const LOOKS_MAX: usize = 3;

/// Its columns.
pub(crate) const INBOX: Schema = Schema {
    columns: &[
        Column::new("key", "TEXT NOT NULL PRIMARY KEY"),
        Column::new("fingerprint", "TEXT NOT NULL"),
        Column {
            name: "reply",
            postgres: "BYTEA",
            sqlite: Some("BLOB"),
        },
        Column::new("expires_at", "BIGINT NOT NULL"),
    ],
    indexes: &[Index {
        end: "by_age",
        postgres: "(expires_at)",
        sqlite: Some("(expires_at)"),
    }],
};

/// A table of requests that were done, each with its reply. Clones are the same one.
///
/// A request is entered in the transaction that does it, so that it is there if and only if it is
/// done. However often it comes again, and whatever else forgot it, it is answered from there. Of two
/// at once one waits until the other has ended: the key of the table decides.
///
/// ```
/// use replybus::{Bus, Context, queue_handler};
/// use replybus_sql::{Inbox, InboxError, Request};
/// use serde::{Deserialize, Serialize};
/// use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};
///
/// #[queue_handler("wallet.requests")]
/// pub trait Wallets {
///     /// Takes an amount out, and says what is left.
///     #[command(own_record)]
///     async fn take(&self, wallet: i64, amount: i64) -> Result<i64, TakeError>;
/// }
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
/// pub enum TakeError {
///     #[error("there is not enough in the wallet")]
///     Insufficient,
///     #[error("the key was used for something else")]
///     KeyConflict,
///     #[error("the wallet is not available")]
///     Unavailable,
/// }
///
/// struct Service { inbox: Inbox, pool: SqlitePool }
///
/// impl Wallets for Service {
///     async fn take(&self, wallet: i64, amount: i64) -> Result<i64, TakeError> {
///         const TAKE: &str = "UPDATE wallets SET amount = amount - $2
///             WHERE id = $1 AND amount >= $2 RETURNING amount";
///         let request = Request::current(&(wallet, amount))?;
///         let taken = self.inbox.once(&self.pool, &request, async |transaction| {
///             let take = sqlx::query_as(TAKE).bind(wallet).bind(amount);
///             let left: Option<(i64,)> = take.fetch_optional(&mut *transaction).await?;
///             // What is `Ok` is kept: the refusal, too, is the answer for this key.
///             Ok::<_, InboxError>(left.map(|(left,)| left).ok_or(TakeError::Insufficient))
///         });
///         taken.await?
///     }
/// }
///
/// impl From<InboxError> for TakeError {
///     fn from(error: InboxError) -> Self {
///         match error {
///             InboxError::Conflict => Self::KeyConflict,
///             _ => Self::Unavailable,
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
/// let inbox = Inbox::new();
/// inbox.install().run(&mut *pool.acquire().await?).await?;
/// sqlx::query("CREATE TABLE wallets (id BIGINT, amount BIGINT)").execute(&pool).await?;
/// sqlx::query("INSERT INTO wallets VALUES (1, 100)").execute(&pool).await?;
///
/// let bus = Bus::in_memory();
/// let service = bus.serve(WalletsServer::new(Service { inbox, pool })).await?;
/// let wallets = WalletsClient::new(&bus);
/// assert_eq!(wallets.take(1, 30).idempotency_key("order-17").await?, 70);
/// assert_eq!(wallets.take(1, 30).idempotency_key("order-17").await?, 70); // nothing is taken twice
/// assert_eq!(wallets.take(1, 30).idempotency_key("order-18").await?, 40);
/// assert!(wallets.take(1, 31).idempotency_key("order-18").await.is_err()); // another request
/// service.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Inbox(Arc<Inner>);

struct Inner {
    table: Table,
    retention: Duration,
    enter: Arc<str>,
    find: Arc<str>,
    keep: Arc<str>,
}

/// What is known of a request.
#[derive(Debug)]
#[must_use]
pub enum Entered {
    /// It was not there: do it, and [keep](Place::keep) the reply.
    New(Place),
    /// It was done.
    Done(Kept),
}

/// The place of a new request's reply, in the transaction that it was entered in.
#[derive(Debug)]
#[must_use = "without its reply a request can't be answered again"]
pub struct Place {
    inbox: Inbox,
    key: String,
}

/// The reply that was kept of a request.
#[derive(Debug)]
pub struct Kept(Option<Vec<u8>>);

impl Inbox {
    /// That in the table `inbox`.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Table::of_ours(TABLE), RETENTION)
    }

    /// That in a table of this name, which may have a schema in front of it: `orders.inbox`.
    ///
    /// # Errors
    /// The name would need quotes, or is longer than 48 characters.
    pub fn named(table: &str) -> Result<Self, InvalidTable> {
        Ok(Self::of(Table::new(table)?, RETENTION))
    }

    fn of(table: Table, retention: Duration) -> Self {
        let enter = format!(
            "INSERT INTO {table} (key, fingerprint, expires_at) VALUES ($1, $2, $3)
            ON CONFLICT (key) DO NOTHING"
        );
        let inbox = Self(Arc::new(Inner {
            enter: enter.into(),
            find: format!("SELECT fingerprint, reply FROM {table} WHERE key = $1").into(),
            keep: format!("UPDATE {table} SET reply = $2 WHERE key = $1").into(),
            table,
            retention,
        }));
        // There before there is one.
        inbox.count("conflict", 0);
        inbox
    }

    /// The same table, whose new entries are remembered for so long: seven days unless set. A request
    /// that comes again after that is done again, so it is to be longer than the longest time after
    /// which one can: a caller's retries, a queue that stands still, a dead letter that is put back.
    #[must_use]
    pub fn retention(self, retention: Duration) -> Self {
        Self::of(self.0.table.clone(), retention)
    }

    /// Makes its table, or says how it is made.
    #[must_use]
    pub fn install(&self) -> Install {
        INBOX.of(&self.0.table)
    }

    /// Enters a request, in the transaction that does it. One that is the same and under way elsewhere
    /// is waited for.
    ///
    /// In SQLite the transaction is to be begun by `BEGIN IMMEDIATE`: one that read before it wrote
    /// can't wait.
    ///
    /// ```
    /// use replybus_sql::{Entered, Inbox, Request};
    /// # use sqlx::sqlite::SqlitePoolOptions;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    /// # let inbox = Inbox::new();
    /// # inbox.install().run(&mut *pool.acquire().await?).await?;
    /// let request = Request::new("ada/pay", "order-17", &("shop", 500))?;
    /// for attempt in 0..2 {
    ///     let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    ///     let receipt: String = match inbox.enter(&mut *transaction, &request).await? {
    ///         Entered::New(place) => {
    ///             let receipt = format!("paid at attempt {attempt}");
    ///             place.keep(&mut *transaction, &receipt).await?;
    ///             receipt
    ///         }
    ///         Entered::Done(kept) => kept.reply()?,
    ///     };
    ///     transaction.commit().await?;
    ///     assert_eq!(receipt, "paid at attempt 0");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the database; the key is that of another request.
    ///
    /// # Cancel safety
    /// That of the transaction.
    pub async fn enter<C>(
        &self,
        connection: &mut C,
        request: &Request,
    ) -> Result<Entered, InboxError>
    where
        C: Connection<Database: Backend>,
    {
        for _ in 0..LOOKS_MAX {
            let expires_at = after(self.0.retention);
            let (key, fingerprint) = (request.key(), request.fingerprint());
            let values = vec![key.into(), fingerprint.into(), expires_at.into()];
            if C::Database::execute(connection, &self.0.enter, values).await? == 1 {
                self.count("new", 1);
                let (inbox, key) = (self.clone(), key.to_owned());
                return Ok(Entered::New(Place { inbox, key }));
            }
            const FOUND: &[Kind] = &[Kind::Text, Kind::Bytes];
            let values = vec![key.into()];
            let found = C::Database::fetch(connection, &self.0.find, values, FOUND).await?;
            if let Some(found) = found.into_iter().next() {
                return self.found(found, request).map(Entered::Done);
            }
        }
        Err(InboxError::Swept)
    }

    fn found(&self, mut row: Cells, request: &Request) -> Result<Kept, InboxError> {
        if row.text().as_deref() != Some(request.fingerprint()) {
            self.count("conflict", 1);
            return Err(InboxError::Conflict);
        }
        self.count("known", 1);
        Ok(Kept(row.bytes()))
    }

    /// Enters a request that has no reply, in the transaction that does it; `false` if it was done
    /// before.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    ///
    /// # Cancel safety
    /// That of the transaction.
    pub async fn is_new<C>(&self, connection: &mut C, request: &Request) -> Result<bool, InboxError>
    where
        C: Connection<Database: Backend>,
    {
        let entered = self.enter(connection, request).await?;
        Ok(matches!(entered, Entered::New(_)))
    }

    pub(crate) fn table(&self) -> &Table {
        &self.0.table
    }

    fn count(&self, outcome: &'static str, count: u64) {
        let table = self.0.table.as_str().to_owned();
        metrics::counter!("replybus_inbox_requests_total", "table" => table, "outcome" => outcome)
            .increment(count);
    }
}

impl Place {
    /// Keeps the reply, in the same transaction.
    ///
    /// # Errors
    /// Those of the database; the reply can't be encoded, or is larger than [`REPLY_BYTES_MAX`].
    ///
    /// # Cancel safety
    /// That of the transaction.
    pub async fn keep<C, T>(self, connection: &mut C, reply: &T) -> Result<(), InboxError>
    where
        C: Connection<Database: Backend>,
        T: Serialize + ?Sized,
    {
        let reply = codec::encode(ContentType::MessagePack, reply, REPLY_BYTES_MAX);
        let reply = reply.map_err(InboxError::Encode)?;
        let values = vec![self.key.into(), reply.to_vec().into()];
        C::Database::execute(connection, &self.inbox.0.keep, values).await?;
        Ok(())
    }
}

impl Kept {
    /// The reply.
    ///
    /// # Errors
    /// None was kept, or it can't be read as this type, as after a change of the program.
    pub fn reply<T: DeserializeOwned>(&self) -> Result<T, InboxError> {
        let reply = self.0.as_deref().ok_or(InboxError::NoReply)?;
        codec::decode(ContentType::MessagePack, reply).map_err(InboxError::Unreadable)
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("table", &self.0.table.as_str())
            .field("retention", &self.0.retention)
            .finish_non_exhaustive()
    }
}
