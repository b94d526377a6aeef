//! The tables under the names that they have unless they are given others, as SQL, for migrations of
//! your own. [`Outbox::install`](crate::Outbox::install) and [`Inbox::install`](crate::Inbox::install)
//! have the same for other names, and make the tables themselves.

/// The table `outbox` in PostgreSQL.
pub const OUTBOX_POSTGRES: &str = include_str!("../schema/outbox_postgres.sql");
/// The table `outbox` in SQLite.
pub const OUTBOX_SQLITE: &str = include_str!("../schema/outbox_sqlite.sql");
/// The table `inbox` in PostgreSQL.
pub const INBOX_POSTGRES: &str = include_str!("../schema/inbox_postgres.sql");
/// The table `inbox` in SQLite.
pub const INBOX_SQLITE: &str = include_str!("../schema/inbox_sqlite.sql");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Inbox, Outbox};

    #[test]
    fn the_files_are_what_installing_makes() {
        let (outbox, inbox) = (Outbox::new().install(), Inbox::new().install());
        assert_eq!(OUTBOX_POSTGRES, outbox.sql(Dialect::Postgres));
        assert_eq!(OUTBOX_SQLITE, outbox.sql(Dialect::Sqlite));
        assert_eq!(INBOX_POSTGRES, inbox.sql(Dialect::Postgres));
        assert_eq!(INBOX_SQLITE, inbox.sql(Dialect::Sqlite));
    }
}
