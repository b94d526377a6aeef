//! A gateway that was started for a test, on a bus in memory.

use crate::services::{FakeAccounts, FakeAuth, FakeNotifications, FakeTransfers, Scripted};
use api_producer::{HttpSettings, Limits, start_within};
use chassis::{
    Platform, Running,
    settings::{PlatformSettings, Secret},
};
use contracts::{
    account::{AccountError, AccountsServer},
    auth::{AuthError, AuthServer},
    notification::{NotificationError, NotificationsServer},
    transfer::{TransferError, TransfersServer},
};
use live_feed::Feed;
use replybus::server::{Service, Serving};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use std::{net::SocketAddr, sync::Arc, time::Duration};

pub(crate) const ADMIN_SECRET: &str = "open-sesame-now!";
/// Nothing takes so long.
pub(crate) const SOON: Duration = Duration::from_secs(120);

pub(crate) struct Started {
    pub(crate) platform: Platform,
    pub(crate) address: SocketAddr,
    pub(crate) running: Running,
    pub(crate) auth: Arc<Scripted<AuthError>>,
    pub(crate) accounts: Arc<Scripted<AccountError>>,
    pub(crate) transfers: Arc<Scripted<TransferError>>,
    pub(crate) notifications: Arc<Scripted<NotificationError>>,
    http: Client,
    /// Dropped, they would be served no more.
    pub(crate) services: Running,
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(crate) fn detail(&self) -> String {
        let body = self.json();
        let members = body.as_object().unwrap();
        assert_eq!(members.len(), 1, "{body}");
        members["detail"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn correlation(&self) -> &str {
        self.header("x-correlation-id").unwrap()
    }
}

/// All services, and the limits that are for use.
pub(crate) async fn bank() -> Started {
    Started::with(|_| {}, true, Some(ADMIN_SECRET)).await
}

/// A service of the bank in place of its program, which takes requests of anybody.
async fn served(platform: &Platform, service: impl Service) -> Serving {
    platform.serve_anybody(service).unwrap().await.unwrap()
}

impl Started {
    pub(crate) async fn with(
        change: impl FnOnce(&mut Limits),
        services: bool,
        admin_secret: Option<&str>,
    ) -> Self {
        Self::on(PlatformSettings::default(), change, services, admin_secret).await
    }

    pub(crate) async fn on(
        settings: PlatformSettings,
        change: impl FnOnce(&mut Limits),
        services: bool,
        admin_secret: Option<&str>,
    ) -> Self {
        let platform = Platform::connect("test", settings).await.unwrap();
        let identity = &platform.identity;
        let (auth, accounts) = (
            Scripted::new(identity.clone()),
            Scripted::new(identity.clone()),
        );
        let (transfers, notifications) = (
            Scripted::new(identity.clone()),
            Scripted::new(identity.clone()),
        );
        let mut serving = Running::new();
        if services {
            let opening = platform.password_opening().unwrap();
            let serve = AuthServer::new(FakeAuth(Arc::clone(&auth), opening));
            serving = serving.serving(served(&platform, serve).await);
            let serve = AccountsServer::new(FakeAccounts(Arc::clone(&accounts)));
            serving = serving.serving(served(&platform, serve).await);
            let serve = TransfersServer::new(FakeTransfers(Arc::clone(&transfers)));
            serving = serving.serving(served(&platform, serve).await);
            let serve = NotificationsServer::new(FakeNotifications(Arc::clone(&notifications)));
            serving = serving.serving(served(&platform, serve).await);
        }
        let mut settings = HttpSettings::at("127.0.0.1:0".parse().unwrap());
        settings.admin_secret = admin_secret.map(|secret| Secret::new(secret.to_owned()));
        let mut limits = Limits::default();
        change(&mut limits);
        let feed = Feed::open(&platform).unwrap();
        let gateway = start_within(&platform, &settings, &feed, limits).await;
        let (running, address) = gateway.unwrap();
        Self {
            platform,
            address,
            running,
            auth,
            accounts,
            transfers,
            notifications,
            http: Client::builder().timeout(SOON).build().unwrap(),
            services: serving,
        }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().unwrap();
        self.http
            .request(method, format!("http://{}{path}", self.address))
    }

    /// A request of somebody who is logged in.
    pub(crate) fn signed(&self, method: &str, path: &str) -> RequestBuilder {
        self.request(method, path).header("X-Session", "a.b.c")
    }

    /// A request with all that any route may want.
    pub(crate) fn allowed(&self, method: &str, path: &str) -> RequestBuilder {
        self.signed(method, path)
            .header("X-Admin-Secret", ADMIN_SECRET)
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response: Response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    // Events have no end that anybody would wait for.
    let text = match headers.get("content-type") {
        Some(kind) if kind == "text/event-stream" => String::new(),
        _ => response.text().await.unwrap(),
    };
    Answer {
        status,
        headers,
        text,
    }
}
