//! The notification service: what buyers are told, in their language.

mod mail;
mod routes;
mod subscriber;
mod table;
mod template;

use crate::{
    Platform, ServiceName,
    contracts::{
        Notifications, NotificationsServer, ORDER_NOTIFICATIONS, OrderCreated, Told, Unavailable,
    },
    http,
};
use chassis::{Running, database::patiently};
use mail::Mailer;
use replybus::contract::RetryPolicy;
use std::{net::SocketAddr, time::Duration};
use subscriber::Subscriber;
use table::{DeliveryTable, PreferenceTable};

/// Mails that are under way at the same time.
const MAILS_AT_ONCE: u16 = 8;
/// A relay or a database that is away holds the place of a mail so long, and is asked again for
/// about two hours after that.
const HELD: Duration = Duration::from_secs(5);
const AGAIN: RetryPolicy = RetryPolicy::new()
    .max(20)
    .base(Duration::from_secs(5))
    .max_delay(Duration::from_secs(600));

/// Starts the service.
pub(crate) async fn start(platform: &Platform) -> anyhow::Result<(Running, SocketAddr)> {
    let migrations = chassis::migrations!["0001_notifications"];
    let database = platform.database("shop_notifications", &migrations).await?;
    let deliveries = DeliveryTable::new(database.clone());
    let preferences = PreferenceTable::new(database.clone());
    let routes = routes::routes(routes::State {
        tokens: platform.tokens.clone(),
        deliveries: deliveries.clone(),
        preferences: preferences.clone(),
    });
    let subscriber = Subscriber {
        deliveries: deliveries.clone(),
        preferences,
        mailer: platform.settings.smtp_addr.map(Mailer::new),
    };
    let subscribed = platform
        .bus
        .subscribe(ORDER_NOTIFICATIONS, move |event: OrderCreated| {
            subscriber.clone().tell(event)
        })
        .concurrency(MAILS_AT_ONCE)
        .retry_within(HELD)
        .retry(AGAIN);
    let server = NotificationsServer::new(NotificationService { deliveries });
    let life = Running::new()
        .serving(subscribed.await?)
        .serving(platform.bus.serve(server).await?);
    http::serve(
        life,
        platform,
        ServiceName::NotificationService,
        &database,
        routes,
    )
    .await
}

/// What other services ask.
struct NotificationService {
    deliveries: DeliveryTable,
}

impl Notifications for NotificationService {
    async fn count(&self, user: i64) -> Result<Told, Unavailable> {
        let counted = patiently(|| self.deliveries.count(user)).await;
        counted.map_err(|error| Unavailable::of(&error))
    }
}
