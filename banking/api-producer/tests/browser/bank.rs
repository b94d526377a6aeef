//! The whole bank in this process, with nothing outside of it.

use api_producer::HttpSettings;
use chassis::{
    Platform, Running,
    settings::{LogFormat, PlatformSettings, Secret},
};
use live_feed::Feed;
use std::{net::SocketAddr, time::Duration};

const SESSION_TTL: Duration = Duration::from_secs(3600);

pub(crate) struct Bank {
    pub(crate) address: SocketAddr,
    running: Running,
}

impl Bank {
    pub(crate) async fn start() -> Self {
        let platform = Platform::connect("bank", settings()).await.unwrap();
        let feed = Feed::open(&platform).unwrap();
        let http = HttpSettings {
            http_addr: "127.0.0.1:0".parse().unwrap(),
            admin_secret: None,
        };
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

/// Whatever the environment says.
fn settings() -> PlatformSettings {
    PlatformSettings {
        amqp_url: None,
        redis_url: None,
        database_url: Secret::new("sqlite::memory:".to_owned()),
        database_connections: 10,
        keys_dir: None,
        namespace: String::new(),
        probe_addr: None,
        log_format: LogFormat::Text,
    }
}
