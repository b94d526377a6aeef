//! Transactional inbox and outbox of [replybus](https://docs.rs/replybus), in PostgreSQL or SQLite by
//! [sqlx](https://docs.rs/sqlx): what a handler does, what it answers and what it tells others is one
//! transaction of its database.
//!
//! - An [`Outbox`] takes events in the transaction that does what they tell of; a [`Relay`] brings
//!   them to the broker.
//! - An [`Inbox`] keeps the key of a request and its reply in the transaction that does it, so that
//!   whatever else forgets, Redis too, nothing is done twice; a [`Sweep`] removes what is old.

mod database;
mod error;
mod inbox;
mod outbox;
pub mod schema;

pub use database::{Backend, Connections, Dialect, Install, InvalidTable};
pub use error::{InboxError, OutboxError};
pub use inbox::{Entered, Inbox, Kept, Place, Request, Sweep};
pub use outbox::{Entry, InvalidOrderKey, Outbox, Relay};
