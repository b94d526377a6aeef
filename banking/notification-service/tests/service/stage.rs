//! Databases of one's own, replicas on them, and what is asked of them.

use chassis::{
    Platform, Running,
    identity::SESSION,
    settings::{PlatformSettings, Secret},
};
use clap::Parser;
use contracts::{
    AccountNumber, Amount, Party, TransactionCompleted, UserId,
    notification::{Notification, NotificationsClient},
};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use live_feed::Feed;
use notification_service::start;
use replybus::CallId;
use replybus_tests::live;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::time::{Instant, sleep};
use url::Url;
use uuid::Uuid;

/// Nothing takes so long.
pub(crate) const SOON: Duration = Duration::from_secs(240);

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    platform: PlatformSettings,
}

/// Settings with that database, and no server but those that are set afterwards.
pub(crate) fn settings(database_url: &str) -> PlatformSettings {
    let mut settings = Program::parse_from(["test", "--namespace", ""]).platform;
    settings.database_url = Secret::new(database_url.to_owned());
    (settings.amqp_url, settings.redis_url) = (None, None);
    (settings.keys_dir, settings.probe_addr) = (None, None);
    settings
}

/// Runs a test on SQLite and, if it is there, on PostgreSQL; each database is gone afterwards.
pub(crate) async fn on_both(test: impl AsyncFn(&str)) {
    on_sqlite(&test).await;
    on_postgres(test).await;
}

pub(crate) async fn on_sqlite(test: impl AsyncFn(&str)) {
    let directory = std::env::temp_dir().join(format!("bank-{}", Uuid::new_v4()));
    let url = format!("sqlite:{}", directory.display());
    let outcome = AssertUnwindSafe(test(&url)).catch_unwind().await;
    let _ = std::fs::remove_dir_all(directory);
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

pub(crate) async fn on_postgres(test: impl AsyncFn(&str)) {
    let Some(server) = live::postgres().await else {
        return;
    };
    let name = format!("test_{}", Uuid::new_v4().simple());
    let mut admin = PgConnection::connect(&server).await.unwrap();
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut admin).await.unwrap();
    let mut url = Url::parse(&server).unwrap();
    url.set_path(&name);
    let outcome = AssertUnwindSafe(test(url.as_str())).catch_unwind().await;
    let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    sqlx::query(drop).execute(&mut admin).await.unwrap();
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// A replica of the service, on a bus of its own unless the settings say otherwise.
pub(crate) struct Replica {
    pub(crate) platform: Platform,
    pub(crate) running: Running,
    pub(crate) client: NotificationsClient,
}

impl Replica {
    pub(crate) async fn start(settings: PlatformSettings) -> Self {
        let platform = Platform::connect("notification-service", settings).await;
        Self::on(platform.unwrap()).await
    }

    pub(crate) async fn on(platform: Platform) -> Self {
        let feed = Feed::open(&platform).unwrap();
        Self {
            running: start(&platform, &feed).await.unwrap(),
            client: NotificationsClient::new(&platform.bus),
            platform,
        }
    }

    /// Emits an event, as a repetition of which the bus knows nothing.
    pub(crate) async fn emit(&self, event: &TransactionCompleted) {
        self.platform
            .bus
            .emit(event)
            .id(CallId::new())
            .await
            .unwrap();
    }

    pub(crate) async fn login(&self, user: &Party) -> String {
        let identity = &self.platform.identity;
        let hour = Duration::from_secs(3600);
        identity
            .begin_session(user.user_id, &user.username, hour)
            .await
            .unwrap()
    }

    pub(crate) async fn list(&self, user: &Party) -> Vec<Notification> {
        let session = self.login(user).await;
        let asked = self.client.list().metadata(SESSION, session.as_str());
        asked.await.unwrap()
    }

    pub(crate) fn admin_pass(&self) -> (&'static str, String) {
        self.platform
            .identity
            .of_program("api-producer")
            .admin_pass()
    }

    pub(crate) async fn total(&self) -> u64 {
        let (name, pass) = self.admin_pass();
        let asked = self.client.admin_total().metadata(name, pass.as_str());
        asked.await.unwrap()
    }

    /// Waits until the user has this many.
    pub(crate) async fn until_listed(&self, user: &Party, count: usize) -> Vec<Notification> {
        let until = Instant::now() + SOON;
        loop {
            let listed = self.list(user).await;
            if listed.len() >= count {
                return listed;
            }
            assert!(Instant::now() < until, "{count} are not stored: {listed:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

pub(crate) fn party(username: &str) -> Party {
    Party {
        user_id: UserId::new(),
        username: username.to_owned(),
        account_number: AccountNumber::draw(),
    }
}

pub(crate) fn transfer(from: &Party, to: &Party, amount: i64) -> TransactionCompleted {
    TransactionCompleted {
        transfer: Uuid::now_v7(),
        from: from.clone(),
        to: to.clone(),
        amount: Amount::new(amount).unwrap(),
        completed_at: Timestamp::now(),
    }
}
