//! The whole bank in this process, with nothing outside of it.

use api_producer::HttpSettings;
use chassis::{
    Platform, Running,
    settings::{PlatformSettings, Secret},
};
use live_feed::Feed;
use std::{net::SocketAddr, time::Duration};

pub(crate) const ADMIN_SECRET: &str = "open-sesame-now!";
const SESSION_TTL: Duration = Duration::from_secs(3600);

pub(crate) struct Bank {
    pub(crate) address: SocketAddr,
    pub(crate) platform: Platform,
    notification: Running,
    running: Running,
}

impl Bank {
    pub(crate) async fn start() -> Self {
        // What is counted is counted from the beginning.
        let _ = chassis::metrics_text();
        let platform = Platform::connect("bank", PlatformSettings::default());
        let platform = platform.await.unwrap();
        let feed = Feed::open(&platform).unwrap();
        let mut http = HttpSettings::at("127.0.0.1:0".parse().unwrap());
        http.admin_secret = Some(Secret::new(ADMIN_SECRET.to_owned()));
        let auth = auth_service::start(&platform, SESSION_TTL).await.unwrap();
        let account = account_service::start(&platform).await.unwrap();
        let notification = notification_service::start(&platform, &feed).await.unwrap();
        let transfer = transfer_service::start(&platform).await.unwrap();
        let (gateway, address) = api_producer::start(&platform, &http, &feed).await.unwrap();
        let running = [auth, account, transfer, gateway]
            .into_iter()
            .fold(Running::new(), Running::with);
        Self {
            address,
            platform,
            notification,
            running,
        }
    }

    /// The bank goes on without its notification service.
    pub(crate) async fn lose_notifications(&mut self) {
        std::mem::take(&mut self.notification).stop().await;
    }

    pub(crate) async fn stop(self) {
        self.notification.with(self.running).stop().await;
    }
}
