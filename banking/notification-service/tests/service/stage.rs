//! Databases of one's own, replicas on them, and what is asked of them.

use chassis::{Platform, Running, identity::SESSION, settings::PlatformSettings};
use contracts::{
    AccountNumber, Amount, Movement, PageRequest, Party, TransactionCompleted, UserId,
    notification::{Notification, NotificationsClient, PAGE_SIZE},
};
use jiff::Timestamp;
use live_feed::Feed;
use notification_service::start;
use replybus::{CallId, Event};
use std::time::Duration;
use town::{
    database::{on_postgres, on_sqlite},
    wait::eventually,
};
use uuid::Uuid;

/// Runs a test on SQLite and, if it is there, on PostgreSQL; each database is gone afterwards.
pub(crate) async fn on_both(test: impl AsyncFn(&str)) {
    on_sqlite(&test).await;
    on_postgres(test).await;
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

    /// Emits an event as the program does whose business it is, and as a repetition of which the
    /// bus knows nothing.
    pub(crate) async fn emit(&self, event: &TransactionCompleted) {
        let program = match event.movement {
            Movement::Transfer { .. } | Movement::NotMade { .. } => "transfer-service",
            Movement::Deposit { .. } | Movement::Withdrawal { .. } => "account-service",
        };
        self.emit_as(program, event).await;
    }

    /// Emits an event that this program signed.
    pub(crate) async fn emit_as(&self, program: &str, event: &TransactionCompleted) {
        let identity = self.platform.identity.of_program(program);
        self.emit_bare(&identity.sign(event.clone()).unwrap()).await;
    }

    /// Emits an event as it is.
    pub(crate) async fn emit_bare(&self, event: &impl Event) {
        let emit = self.platform.bus.emit(event).id(CallId::new());
        emit.await.unwrap();
    }

    pub(crate) async fn login(&self, user: &Party) -> String {
        let identity = &self.platform.identity;
        let hour = Duration::from_secs(3600);
        identity
            .begin_session(user.user_id, user.username.as_str(), hour)
            .await
            .unwrap()
    }

    pub(crate) async fn list(&self, user: &Party) -> Vec<Notification> {
        self.listed(user, PageRequest::new(1, PAGE_SIZE)).await
    }

    pub(crate) async fn listed(&self, user: &Party, page: PageRequest) -> Vec<Notification> {
        let session = self.login(user).await;
        let asked = self.client.list(page).metadata(SESSION, session.as_str());
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
        eventually("all of them are stored", async || {
            let listed = self.list(user).await;
            (listed.len() >= count).then_some(listed)
        })
        .await
    }
}

pub(crate) fn party(username: &str) -> Party {
    Party {
        user_id: UserId::new(),
        username: username.parse().unwrap(),
        account_number: AccountNumber::draw(),
    }
}

pub(crate) fn transfer(from: &Party, to: &Party, amount: i64) -> TransactionCompleted {
    let (from, to) = (from.clone(), to.clone());
    transaction(Movement::Transfer { from, to }, amount)
}

pub(crate) fn deposit(to: &Party, amount: i64, new_balance: i64) -> TransactionCompleted {
    let to = to.clone();
    transaction(Movement::Deposit { to, new_balance }, amount)
}

fn transaction(movement: Movement, amount: i64) -> TransactionCompleted {
    TransactionCompleted {
        id: Uuid::now_v7(),
        movement,
        amount: Amount::new(amount).unwrap(),
        completed_at: Timestamp::now(),
        proof: None,
    }
}
