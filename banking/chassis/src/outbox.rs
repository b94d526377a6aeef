//! Events of a service on their way to the broker: put into its [`Outbox`] in the transaction of what
//! they tell of, and emitted from there by a [`relay`], under the id of their transaction, signed by
//! the service.

use crate::{
    Database, Identity,
    database::{Column, Connections},
};
use contracts::TransactionCompleted;
use replybus::{Bus, CallId};
use replybus_sql::Relay;
pub use replybus_sql::{Entry, Outbox};

/// An event as it is put: under the id of its transaction, in the trace of the call that is being
/// served.
///
/// # Errors
/// It can't be written as JSON.
pub fn entry(event: &TransactionCompleted) -> sqlx::Result<Entry> {
    let id = CallId::from_bytes(event.id.into_bytes());
    Ok(Entry::of(event)?.with_id(id))
}

/// What brings the events of a service to the broker.
pub fn relay(outbox: &Outbox, database: &Database, bus: &Bus, identity: &Identity) -> Relay {
    let identity = identity.clone();
    Relay::new(bus, outbox, database)
        // Before the notification service first subscribed nobody would get them: they are kept till
        // then.
        .mandatory()
        .prepare(move |event| Ok(identity.sign(event)?))
        // What a version before `replybus-sql` wrote.
        .unnamed::<TransactionCompleted>()
}

/// The columns of entries, as rows that a statement is given.
pub fn columns() -> impl Iterator<Item = Column> {
    let columns = Entry::COLUMNS.into_iter();
    columns.map(|name| match Entry::INTEGERS.contains(&name) {
        true => Column::Integer(name),
        false => Column::Text(name),
    })
}

impl From<&Database> for replybus_sql::Connections {
    fn from(database: &Database) -> Self {
        let connections: Connections = database.pool().clone();
        Self::over(database.dialect(), connections)
    }
}
