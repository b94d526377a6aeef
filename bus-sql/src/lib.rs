//! Transactional inbox and outbox of [replybus](https://docs.rs/replybus), in PostgreSQL or SQLite by
//! [sqlx](https://docs.rs/sqlx): what a handler does, what it answers and what it tells others is one
//! transaction of its database.
//!
//! - An [`Outbox`] takes events in the transaction that does what they tell of; a [`Relay`] brings
//!   them to the broker.
//! - An [`Inbox`] keeps the key of a request and its reply in the transaction that does it, so that
//!   whatever else forgets, Redis too, nothing is done twice; a [`Sweep`] removes what is old.
//!
//! Both are tables, made by [`Install::run`] when a program starts or by a migration of its own, from
//! [`schema`]. Statements within a transaction are executed on the connection that has it; those that
//! stand alone, of relays and sweeps, on [`Connections`].
//!
//! | feature | adds |
//! |---|---|
//! | `postgres` | `sqlx::Postgres` |
//! | `sqlite` | `sqlx::Sqlite` |
//! | `any` | `sqlx::Any`, over those of the two that there are |
//!
//! Moments are written by the clocks of the programs, in microseconds. Clocks that differ let a lease
//! lapse early or late, so that an event is emitted again or later; no order and no promise rests on
//! them.

mod database;
mod error;
mod inbox;
mod outbox;
pub mod schema;

pub use database::{Backend, Connections, Dialect, Install, InvalidTable};
pub use error::{InboxError, OutboxError};
pub use inbox::{Entered, Inbox, Kept, Place, Request, Sweep};
pub use outbox::{Entry, InvalidOrderKey, Outbox, Relay};
