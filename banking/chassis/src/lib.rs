//! The ground that every service of the bank stands on, and of other systems: settings, the bus, a
//! database, and the answer to the question who asks.
//!
//! In reading order: [`settings`] are read, a [`Platform`] is made of them, a service is started on
//! it and is [`Running`] until its end, and a program [`run`]s it until it is told to stop, and tells
//! meanwhile how it is.

pub mod database;
pub mod guesses;
pub mod http;
pub mod identity;
pub mod keys;
pub mod outbox;
pub mod rates;
pub mod settings;
pub mod telemetry;

mod digest;
mod health;
mod platform;
mod probe;
mod program;
mod redis_connection;
mod replicas;
mod running;
mod vitals;

pub use database::Database;
pub use identity::{Identity, User};
pub use platform::Platform;
pub use probe::metrics_text;
pub use program::{refuse, report, run, run_standalone, shutdown_signal};
pub use redis_connection::redis_manager;
pub use running::Running;
