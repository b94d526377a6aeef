//! All that the bank's services share: the contracts, and what travels in them.
//!
//! Each module of a service has its trait, in the order of the routes, and the messages that only
//! it uses. An identity is not among the arguments: it travels as metadata, a session or a pass,
//! and the service that is asked verifies it itself.

pub mod account;
pub mod auth;
pub mod month_statement;
pub mod notification;
pub mod program;
pub mod standing_order;
pub mod transfer;

mod amount;
mod calendar;
mod event;
mod health;
mod idempotency_key;
mod identity;
mod page;
mod reference;
mod refused;
mod shown;
mod username;

pub use amount::{Amount, InvalidAmount};
pub use calendar::{InvalidMonth, InvalidTimeZoneName, Month, TimeZoneName};
pub use event::{Movement, Party, TransactionCompleted};
pub use health::{
    CpuUse, HealthStatus, MemoryUse, PartHealth, ProgramHealth, ProgramInfo, ServiceHealth,
};
pub use idempotency_key::{IdempotencyKey, InvalidIdempotencyKey};
pub use identity::{AccountNumber, InvalidAccountNumber, UserId};
pub use page::{Page, PageRequest, SEARCH_CHARS_MAX};
pub use reference::{InvalidReference, Reference};
pub use refused::Refused;
pub use shown::{SHOWN_CHARS_MAX, shown};
pub use username::{InvalidUsername, Username};
