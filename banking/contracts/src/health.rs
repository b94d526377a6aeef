//! The health of a service.

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
