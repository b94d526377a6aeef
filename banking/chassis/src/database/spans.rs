//! Spans of what a database is asked, in the traces of calls. No text of a statement and no value is in
//! them.

use super::Kind;
use replybus::trace::{Span, SpanKind};

/// The span of a statement that stands alone.
pub(super) fn statement(kind: Kind) -> Span {
    asked(kind, "statement")
}

/// The span of a transaction, from when it is to begin.
pub(super) fn transaction(kind: Kind) -> Span {
    asked(kind, "transaction")
}

fn asked(kind: Kind, what: &'static str) -> Span {
    let mut span = Span::inner(SpanKind::Client, what);
    let system = match kind {
        Kind::Postgres => "postgresql",
        Kind::Sqlite => "sqlite",
    };
    span.set("db.system.name", system);
    span.set("db.operation.name", what);
    span
}

/// Notes of what it failed, if it did: by the code that the database gives it.
pub(super) fn ended<T>(span: &mut Span, done: &sqlx::Result<T>) {
    let Err(error) = done else { return };
    match error {
        sqlx::Error::Database(error) => match error.code() {
            Some(code) => span.fail(code.into_owned()),
            None => span.fail("database"),
        },
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => span.fail("connection"),
        sqlx::Error::PoolTimedOut => span.fail("no_connection"),
        _ => span.fail("other"),
    }
}
