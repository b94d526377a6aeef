//! What several examples share: a contract, a service that keeps it, and where the servers are.

pub mod anywhere;
pub mod contract;
pub mod ledger;
#[cfg(feature = "servers")]
pub mod servers;
