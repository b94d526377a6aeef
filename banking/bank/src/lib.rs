//! The bank in one program: any of its services, together in one process.
//!
//! [`serve`] starts services on one platform, [`demo`] sends customers to a bank.

pub mod demo;
pub mod serve;

pub use serve::{ServeSettings, ServiceName};
