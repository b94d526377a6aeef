//! All that is served, or was until its last instance was lost: the queues, and who serves them.

use super::Instance;
use crate::{
    bus::Bus,
    contract::check_name,
    limits::{SERVICES_INSTANCES_MAX, SERVICES_LISTED_MAX},
    reply::{StoreError, StoreHealth},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::{error::Error, future::ready, iter::successors};

/// Queues whose records are read at a time.
const READ_AT_ONCE: usize = 16;

/// A queue that is served, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServedQueue {
    /// The queue, without the namespace.
    pub queue: String,
    /// Its instances, in the order in which they were started. None if the last one was lost: killed,
    /// frozen, or out of touch with the reply store.
    pub instances: Vec<Instance>,
    /// Why they are not known, if the store answers and they can't be read: somebody wrote what is no
    /// record under their name. It names the key.
    pub unknown: Option<String>,
}

impl Bus {
    /// The queues of this bus that are served, in the order of their names, with the instances that
    /// [`instances`](Self::instances) gives for each: what a system consists of, for whoever looks at
    /// it from outside. A queue whose last instance was lost is listed for a day
    /// ([`SERVICE_REMEMBERED`](crate::limits::SERVICE_REMEMBERED)) without any; one whose last instance
    /// was shut down is not listed any more. [`SERVICES_LISTED_MAX`] queues at most, and no more queues once there are
    /// [`SERVICES_INSTANCES_MAX`] instances. Groups of events are not among them.
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
    /// let serving = bus.serve(GreeterServer::new(English)).await?;
    ///
    /// for served in bus.services().await? {
    ///     println!("{}: {} instances", served.queue, served.instances.len());
    /// #   assert_eq!((&*served.queue, served.instances.len()), ("greeter.requests", 1));
    /// }
    /// # assert_eq!(bus.services().await?.len(), 1);
    /// serving.shutdown().await?;
    /// assert!(bus.services().await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The store can't be reached, or keeps no such records. A queue whose instances can't be read is
    /// no error: [`ServedQueue::unknown`] says why.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn services(&self) -> Result<Vec<ServedQueue>, StoreError> {
        let mut queues = self.inner().replies.present_queues().await?;
        // Anybody who may write to the store can have named one.
        queues.retain(|queue| check_name("queue", queue).is_ok());
        queues.sort_unstable();
        queues.dedup();
        queues.truncate(SERVICES_LISTED_MAX);
        let mut listed = 0;
        stream::iter(queues)
            .map(|queue| async move { self.served(queue).await })
            .buffered(READ_AT_ONCE)
            .try_take_while(move |served: &ServedQueue| {
                let has_room = listed < SERVICES_INSTANCES_MAX;
                listed += served.instances.len();
                ready(Ok(has_room))
            })
            .try_collect()
            .await
    }

    /// What is known of one queue.
    async fn served(&self, queue: String) -> Result<ServedQueue, StoreError> {
        let (instances, unknown) = match self.instances(&queue).await {
            Ok(instances) => (instances, None),
            Err(error) if self.inner().replies.health() == StoreHealth::Up => {
                (Vec::new(), Some(shown(&error)))
            }
            Err(error) => return Err(error),
        };
        Ok(ServedQueue {
            queue,
            instances,
            unknown,
        })
    }
}

/// An error and what led to it.
fn shown(error: &(dyn Error + 'static)) -> String {
    let errors = successors(Some(error), |&error| error.source());
    errors
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
