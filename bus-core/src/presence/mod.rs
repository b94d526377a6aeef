//! Who serves a queue: the instances of a service, each with a record in the reply store that it
//! keeps up while it serves.
//!
//! A record says what an instance says of itself: its service and version, where it runs, its
//! methods, how much it does. It is announced again every two seconds, removed when the instance
//! ends, and gone [`PRESENCE_TTL`](crate::limits::PRESENCE_TTL) after the last word of one that was
//! killed, or gave back what it had begun. If the store can't be reached nothing else suffers. [`Bus::instances`]
//! reads those of a queue, and [`Bus::services`] those of all queues.

mod heartbeat;
mod id;
mod instance;
mod profile;
mod seen;
mod services;

pub use id::{InstanceId, InvalidInstanceId};
pub use instance::Instance;
pub use services::ServedQueue;

pub(crate) use heartbeat::Heartbeat;
pub(crate) use instance::{is_shown, millis};
pub(crate) use profile::{Profile, host, shown};
pub(crate) use seen::Seen;

use crate::{bus::Bus, contract::check_name, reply::StoreError};
use std::collections::BTreeMap;

impl Bus {
    /// The instances that serve a queue of this bus, in all programs, in the order in which they
    /// were started; [`INSTANCES_LISTED_MAX`](crate::limits::INSTANCES_LISTED_MAX) at most. One that
    /// died is among them for up to [`PRESENCE_TTL`](crate::limits::PRESENCE_TTL). A service of a
    /// version before presence, or in another language, need not be. Records that can't be read are
    /// passed over.
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler};
    /// # #[queue_handler("greeter.requests")]
    /// # pub trait Greeter {
    /// #     #[query]
    /// #     async fn greet(&self, name: String) -> Result<String, Never>;
    /// # }
    /// # struct English;
    /// # impl Greeter for English {
    /// #     async fn greet(&self, name: String) -> Result<String, Never> {
    /// #         Ok(format!("Hello, {name}!"))
    /// #     }
    /// # }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bus = Bus::in_memory();
    /// let serving = bus.serve(GreeterServer::new(English)).version("1.4.0").await?;
    ///
    /// for instance in bus.instances(GreeterClient::CONTRACT.queue).await? {
    ///     println!("{} {:?} on {}", instance.service, instance.version, instance.host);
    /// #   assert_eq!(instance.version.as_deref(), Some("1.4.0"));
    /// }
    /// # assert_eq!(bus.instances("greeter.requests").await?.len(), 1);
    /// serving.shutdown().await?;
    /// assert!(bus.instances(GreeterClient::CONTRACT.queue).await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The store can't be reached or keeps no such records, or no queue can have this name.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn instances(&self, queue: &str) -> Result<Vec<Instance>, StoreError> {
        check_name("queue", queue).map_err(|error| StoreError::new("list instances", error))?;
        let records = self.inner().replies.present(queue).await?;
        let read = records.iter().filter_map(|record| Instance::read(record));
        // By id: a forged record of another's takes one place.
        let instances: BTreeMap<_, _> = read.map(|instance| (instance.id, instance)).collect();
        Ok(instances.into_values().collect())
    }
}
