//! The health of a service, and of a program.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a service is, by its own account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceHealth {
    /// `up` if all its parts are.
    pub status: PartHealth,
    /// Its name.
    pub service: String,
    /// Its database.
    pub database: PartHealth,
    /// The Redis that holds sessions; the memory of this process on the embedded default.
    pub redis: PartHealth,
}

/// Whether something can be used right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PartHealth {
    /// It answered.
    Up,
    /// It did not.
    Down,
}

impl PartHealth {
    /// Up, if `up`.
    #[must_use]
    pub const fn of(up: bool) -> Self {
        if up { Self::Up } else { Self::Down }
    }
}

impl ServiceHealth {
    /// The health of a service with these parts.
    #[must_use]
    pub fn new(service: &str, database: bool, redis: bool) -> Self {
        Self {
            status: PartHealth::of(database && redis),
            service: service.to_owned(),
            database: PartHealth::of(database),
            redis: PartHealth::of(redis),
        }
    }
}

/// How a program is, by its own account: what it answers at `/health`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProgramHealth {
    /// Whether it does its work.
    pub status: HealthStatus,
    /// When this was so.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// Seconds since it was started.
    pub uptime: f64,
    /// The memory of its process.
    pub memory: MemoryUse,
    /// The processors that its process uses.
    pub cpu: CpuUse,
    /// Its name.
    pub service: String,
    /// Its version.
    pub version: String,
    /// The way of requests.
    pub broker: PartHealth,
    /// The way of replies, by the Redis that holds sessions, too.
    pub replies: PartHealth,
    /// Its database; not there if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<PartHealth>,
    /// Queues that it serves and gets nothing from right now.
    pub not_consumed: Vec<String>,
    /// Queues of dead letters that take no more, so that letters are lost.
    pub dead_letters_full: Vec<String>,
    /// Queues of services, some of whose calls are refused at once because they fail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub circuits_open: Vec<String>,
}

/// Whether a program does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// All of it.
    Healthy,
    /// All of it, but somebody should look after it.
    Degraded,
    /// It can't.
    Unhealthy,
}

/// The memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MemoryUse {
    /// Bytes that are its own in RAM (resident).
    pub used: u64,
    /// Bytes that it may have: the limit of its container (cgroup), or else the machine's.
    pub total: u64,
    /// Its share, 0 to 100.
    pub percentage: f64,
}

/// What a process uses of the processors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CpuUse {
    /// The share of all processors that it may use, 0 to 100, over the last seconds.
    pub usage: f64,
}

/// What a program is: its answer at `/info`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProgramInfo {
    /// Its name.
    pub service: String,
    /// Its version.
    pub version: String,
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// Seconds since then.
    pub uptime: f64,
}
