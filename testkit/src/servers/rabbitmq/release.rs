//! What differs between releases of RabbitMQ, for tests of one of them.

use super::RabbitMq;
#[cfg(feature = "live")]
use super::{RELEASE, RELEASES};
#[cfg(feature = "live")]
use crate::servers::{Installation, PrivateServer, Program as _, ServerError, installation::major};
#[cfg(feature = "live")]
use std::path::Path;

/// What RabbitMQ 4 permits unless it is told otherwise, and is to be gone some day. A node does not
/// start with a name that it does not know.
const DEPRECATED: [&str; 5] = [
    "global_qos",
    "management_metrics_collection",
    "queue_master_locator",
    "ram_node_type",
    "transient_nonexcl_queues",
];

impl RabbitMq {
    /// Denies what RabbitMQ 4 has and means to do without, as its later releases do by themselves.
    #[must_use]
    pub fn without_deprecated_features(self) -> Self {
        DEPRECATED.iter().fold(self, |rabbit, feature| {
            rabbit.setting(&format!("deprecated_features.permit.{feature} = false"))
        })
    }
}

#[cfg(feature = "live")]
impl RabbitMq {
    /// Its version, by where packages put it.
    fn version(&self) -> Option<String> {
        let newest = self.installation.versions(Path::new(RELEASES), RELEASE, "");
        let name = newest.first()?.file_name()?.to_str()?;
        name.strip_prefix(RELEASE).map(str::to_owned)
    }

    /// Passes on RabbitMQ 4.
    fn checked_to_be_4(self) -> Result<Self, ServerError> {
        let found = self.version().unwrap_or_default();
        match major(&found) {
            Some(4..) => Ok(self),
            _ => Err(ServerError::Unfit {
                server: Self::NAME,
                found,
                needed: "4.0 or later",
            }),
        }
    }
}

#[cfg(feature = "live")]
impl PrivateServer<RabbitMq> {
    /// Starts a node of RabbitMQ 4 that is set as a test needs it, and waits until it accepts
    /// connections.
    ///
    /// # Errors
    /// As [`start`](Self::start), or it is older.
    ///
    /// # Cancel safety
    /// As [`start`](Self::start).
    pub async fn set_up_4(set: impl FnOnce(RabbitMq) -> RabbitMq) -> Result<Self, ServerError> {
        let rabbit = RabbitMq::find(&Installation::chosen()?)?.checked_to_be_4()?;
        Self::launch(set(rabbit)).await
    }
}
