//! What tells one request from another.

use crate::InboxError;
use replybus::{ContentType, Context, codec, limits::REQUEST_BYTES_MAX};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Bytes of the longest key, with what it is a key of.
const KEY_BYTES_MAX: usize = 1_024;

/// A request by its key, and by what is asked: two of one key that ask for something else are in
/// conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    key: String,
    fingerprint: String,
}

impl Request {
    /// The call that is being served, whose arguments these are: under its idempotency key, or else
    /// under its id, by which a second delivery of it is known. A key is one of a method of a service,
    /// and, if that is served on another queue than its contract's, of this queue.
    ///
    /// The arguments are those that tell requests apart, as a tuple. What has no order of its own, such
    /// as a `HashMap`, is not the same twice.
    ///
    /// # Errors
    /// No call is being served; the arguments can't be encoded.
    pub fn current<A: Serialize + ?Sized>(arguments: &A) -> Result<Self, InboxError> {
        let context = Context::current();
        let mut scope = format!("{}.{}", context.service(), context.method());
        // Not the contract's own: entries of before queues were told apart are still found.
        if let Some(queue) = context.other_queue() {
            scope = format!("{queue}/{scope}");
        }
        match (context.idempotency_key(), context.call_id()) {
            (Some(key), _) => Self::new(&format!("{scope}:key"), key, arguments),
            (None, Some(id)) => Self::new(&format!("{scope}:id"), &id.to_string(), arguments),
            (None, None) => Err(InboxError::NoRequest),
        }
    }

    /// The event that is being handled, in this group, which an event comes to once: under its id. One
    /// that was emitted without an id has another with each delivery, and can't be known again.
    ///
    /// ```
    /// use replybus::{Bus, CallId, Event};
    /// use replybus_sql::{Inbox, InboxError, Request};
    /// use serde::{Deserialize, Serialize};
    /// # use sqlx::sqlite::SqlitePoolOptions;
    /// # use tokio::sync::mpsc;
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event("order.paid")]
    /// struct OrderPaid { amount: i64 }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    /// # let (bus, inbox) = (Bus::in_memory(), Inbox::new());
    /// # inbox.install().run(&mut *pool.acquire().await?).await?;
    /// # sqlx::query("CREATE TABLE turnover (amount BIGINT)").execute(&pool).await?;
    /// # let (done, mut handled) = mpsc::unbounded_channel();
    /// let subscription = bus
    ///     .subscribe("turnover", move |paid: OrderPaid| {
    ///         let (inbox, pool) = (inbox.clone(), pool.clone());
    /// #       let done = done.clone();
    ///         async move {
    ///             let request = Request::event("turnover")?;
    ///             inbox.once(&pool, &request, async |transaction| {
    ///                 let add = sqlx::query("INSERT INTO turnover VALUES ($1)").bind(paid.amount);
    ///                 add.execute(&mut *transaction).await?;
    /// #               let _ = done.send(());
    ///                 Ok::<_, InboxError>(())
    ///             })
    ///             .await
    ///         }
    ///     })
    ///     .await?;
    /// bus.emit(&OrderPaid { amount: 500 }).await?;
    /// # assert!(handled.recv().await.is_some());
    /// # subscription.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// No event is being handled.
    pub fn event(group: &str) -> Result<Self, InboxError> {
        let id = Context::current().call_id().ok_or(InboxError::NoRequest)?;
        // An event is told from others by its id alone.
        Self::new(&format!("event:{group}"), &id.to_string(), &())
    }

    /// A request of a key that is one of `scope`: a method, or a user and a method.
    ///
    /// # Errors
    /// Both together are longer than 1,024 bytes, or the key is empty or has a NUL; the arguments can't
    /// be encoded.
    pub fn new<A: Serialize + ?Sized>(
        scope: &str,
        key: &str,
        arguments: &A,
    ) -> Result<Self, InboxError> {
        let named = format!("{scope}:{key}");
        if key.is_empty() || named.len() > KEY_BYTES_MAX || named.contains('\0') {
            return Err(InboxError::Key { bytes: named.len() });
        }
        let arguments = codec::encode(ContentType::MessagePack, arguments, REQUEST_BYTES_MAX);
        let arguments = arguments.map_err(InboxError::Encode)?;
        let digest = Sha256::digest(&arguments);
        let half = digest.iter().take(16);
        Ok(Self {
            key: named,
            fingerprint: half.map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use replybus::CallId;

    #[tokio::test]
    async fn a_call_is_known_by_its_key_or_else_by_its_id() {
        assert!(matches!(Request::current(&()), Err(InboxError::NoRequest)));
        assert!(matches!(Request::event("g"), Err(InboxError::NoRequest)));
        let id = CallId::new();
        let unkeyed = Context::builder().call_id(id).build();
        let of = |context: Context| async { context.scope(async { Request::current(&5) }).await };
        let by_id = of(unkeyed).await.unwrap();
        assert!(by_id.key.ends_with(&format!(":id:{id}")));
        let keyed = Context::builder().call_id(id).idempotency_key("k").build();
        assert!(of(keyed).await.unwrap().key.ends_with(":key:k"));
    }

    #[test]
    fn what_is_asked_is_part_of_it_and_the_key_has_bounds() {
        let of = |arguments: (&str, i64)| Request::new("pay", "k", &arguments).unwrap();
        assert_eq!(of(("a", 1)), of(("a", 1)));
        assert_ne!(of(("a", 1)), of(("a", 2)));
        for key in ["", "a\0b", &"k".repeat(KEY_BYTES_MAX)] {
            assert!(matches!(
                Request::new("pay", key, &()),
                Err(InboxError::Key { .. })
            ));
        }
    }
}
