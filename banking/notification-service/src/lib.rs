//! The notification service: tells users of each transaction of theirs, and shows it at once to
//! those who are connected.
//!
//! In reading order: the `subscriber` takes completed transactions that are proved to be such,
//! makes a `message` for whom they concern, and puts those into the `store`, once. Then they go to
//! the [`Feed`], which brings them to the sockets of their users, in whichever process those are.
//! The `service` answers who asks for what is stored.

mod group;
mod message;
mod service;
mod settings;
mod store;
mod subscriber;

pub use contracts::program::NOTIFICATION_SERVICE as NAME;
pub use settings::SocketSettings;

use anyhow::Context as _;
use chassis::{Platform, Running, http::ConnectionLimits};
use contracts::{
    TransactionCompleted,
    notification::{GROUP, NotificationsServer},
};
use live_feed::{Feed, ws};
use service::Service;
use sqlx::migrate::Migrator;
use std::time::Duration;
use store::Store;
use subscriber::Subscriber;

/// Events that are at work at once in one process. Those that wait for the database are stored
/// together, so that a burst of transfers takes few connections.
const EVENTS_AT_ONCE: u16 = 32;
/// Storing takes milliseconds. What takes longer waits for a database that is away, and goes back
/// to the queue when the service stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// Starts the service with a feed of its own, and serves `/ws` beside it.
///
/// # Errors
/// As [`start`], or the address can't be bound.
///
/// # Cancel safety
/// As [`start`].
pub async fn start_with_sockets(
    platform: &Platform,
    settings: SocketSettings,
) -> anyhow::Result<Running> {
    let feed = Feed::open(platform)?;
    let limits = ConnectionLimits {
        of_address_max: settings.connections_per_address.into(),
        ..ConnectionLimits::default()
    };
    let sockets = ws::serve(
        platform.identity.clone(),
        &feed,
        settings.ws_addr,
        settings.ws_origins,
        limits,
    )
    .await;
    let (sockets, _) = sockets.context("live notifications can't be served")?;
    Ok(start(platform, &feed).await?.with(sockets))
}

/// Starts the service, which shows what it stores on `feed`.
///
/// # Errors
/// Its database or its queues can't be had.
///
/// # Cancel safety
/// Not to be dropped before it is ready.
pub async fn start(platform: &Platform, feed: &Feed) -> anyhow::Result<Running> {
    Running::start(NAME, async |life| begin(life, platform, feed).await).await
}

async fn begin(life: Running, platform: &Platform, feed: &Feed) -> anyhow::Result<Running> {
    let platform = platform.of_program(NAME);
    let database = platform.database("notification", &migrations()).await?;
    let store = Store::new(database.clone());
    let subscriber = Subscriber {
        identity: platform.identity.clone(),
        store: store.clone(),
        feed: feed.clone(),
    };
    let subscribed = platform
        .bus
        .subscribe(GROUP, move |event: TransactionCompleted| {
            subscriber.clone().notify(event)
        })
        .concurrency(EVENTS_AT_ONCE)
        // What is worth another try is known where it failed.
        .retry_within(Duration::ZERO)
        .drain_within(DRAIN_WITHIN)
        .await
        .context("can't subscribe to transactions")?;
    let service = Service {
        name: NAME,
        identity: platform.identity.clone(),
        store,
    };
    let served = platform
        .serve(NotificationsServer::new(service))?
        .version(env!("CARGO_PKG_VERSION"))
        .await
        .context("can't serve")?;
    let running = life.serving(subscribed).serving(served);
    Ok(running.on_stopped(async move { database.close().await }))
}

/// The migrations of its database.
#[must_use]
pub fn migrations() -> Migrator {
    chassis::migrations!["0001_notifications"]
}
