//! The bank in one program: any of its services, together in one process.
//!
//! [`serve`] starts services on one platform, [`demo`] sends customers to a bank, [`letters`] deals
//! with what services gave up.

pub mod demo;
pub mod letters;
pub mod serve;

pub use serve::{ServeSettings, ServiceName};
