//! The notification service: tells both sides of each transfer, and shows it at once to those who
//! are connected.
//!
//! In reading order: the `subscriber` takes completed transfers, makes of each what its two sides
//! are `told`, and puts that into the `store`, once. Then it goes to the [`Feed`], which brings it
//! to every process that has sockets, and to the sockets of its user ([`live`]). The `service`
//! answers who asks for what is stored.
//!
//! The feed forgets what it has shown, so a client connects first and then fetches the list: the
//! socket is open when it is among those that are told, hence what is stored later comes over the
//! socket, and what was stored before is in the list. What is in both has the same id.

pub mod live;

mod feed;
mod service;
mod store;
mod subscriber;
mod told;

pub use feed::Feed;
pub use live::{live_router, serve_live};

use anyhow::Context as _;
use chassis::{Platform, Running, identity::PROOFS};
use contracts::{
    TransactionCompleted,
    notification::{GROUP, NotificationsServer},
    program::NOTIFICATION_SERVICE,
};
use service::Service;
use std::time::Duration;
use store::Store;
use subscriber::Subscriber;

/// Events that are stored at once in one process: fewer than it has connections to the database,
/// so that a burst of transfers leaves some to those who ask.
const EVENTS_AT_ONCE: u16 = 6;
/// How long an event waits for a database that is away before it is kept as a dead letter.
const RETRY_WITHIN: Duration = Duration::from_secs(15 * 60);
/// Storing takes milliseconds. What takes longer waits for a database that is away, and goes back
/// to the queue when the service stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// Starts the service, which shows what it stores on `feed`.
///
/// # Errors
/// Its database or its queues can't be had.
///
/// # Cancel safety
/// Not to be dropped before it is ready.
pub async fn start(platform: &Platform, feed: &Feed) -> anyhow::Result<Running> {
    let platform = platform.of_program(NOTIFICATION_SERVICE);
    let database = platform.database("notification", &sqlx::migrate!()).await?;
    let store = Store::new(database.clone());
    let subscriber = Subscriber {
        store: store.clone(),
        feed: feed.clone(),
    };
    let told = platform
        .bus
        .subscribe(GROUP, move |event: TransactionCompleted| {
            subscriber.clone().tell(event)
        })
        .concurrency(EVENTS_AT_ONCE)
        .retry_within(RETRY_WITHIN)
        .drain_within(DRAIN_WITHIN)
        .await
        .context("can't subscribe to transfers")?;
    let service = Service {
        name: NOTIFICATION_SERVICE,
        identity: platform.identity.clone(),
        store,
    };
    let asked = platform
        .bus
        .serve(NotificationsServer::new(service))
        .secret_metadata(PROOFS)
        .await
        .context("can't serve")?;
    let running = Running::new().serving(told).serving(asked);
    Ok(running.beside(|stop| async move {
        stop.cancelled().await;
        database.close().await;
    }))
}
