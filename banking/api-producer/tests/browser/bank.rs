//! The whole bank in this process, with nothing outside of it.

use api_producer::HttpSettings;
use chassis::{Platform, Running, settings::PlatformSettings};
use live_feed::Feed;
use std::{net::SocketAddr, time::Duration};

const SESSION_TTL: Duration = Duration::from_secs(3600);

pub(crate) struct Bank {
    pub(crate) address: SocketAddr,
    running: Running,
}

impl Bank {
    pub(crate) async fn start() -> Self {
        let platform = Platform::connect("bank", PlatformSettings::default());
        let platform = platform.await.unwrap();
        let feed = Feed::open(&platform).unwrap();
        let http = HttpSettings::at("127.0.0.1:0".parse().unwrap());
        let auth = auth_service::start(&platform, SESSION_TTL).await.unwrap();
        let account = account_service::start(&platform).await.unwrap();
        let notification = notification_service::start(&platform, &feed).await.unwrap();
        let transfer = transfer_service::start(&platform).await.unwrap();
        let (gateway, address) = api_producer::start(&platform, &http, &feed).await.unwrap();
        let running = [auth, account, notification, transfer, gateway]
            .into_iter()
            .fold(Running::new(), Running::with);
        Self { address, running }
    }

    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}
