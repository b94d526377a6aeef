//! A bank of which only the transfer service is real.

use crate::{accounts::ScriptedAccounts, broker::ScriptedBroker};
use chassis::{Database, Platform, Running, settings::PlatformSettings};
use contracts::{
    Amount, IdempotencyKey, PageRequest, Party, TransactionCompleted,
    account::{AccountsServer, Recipient},
    transfer::{
        Transaction, TransferError, TransferOrder, TransferReceipt, TransferStatus, TransfersClient,
    },
};
use replybus::{Call, CallError, reply::memory::MemoryReplies, server::Serving};
use replybus_testkit::proxy::Proxy;
use std::{future::Future, panic::resume_unwind, sync::Arc, time::Duration};
use tokio::runtime::{Builder, Runtime};
use town::{
    database::{self, on_postgres},
    wait::eventually,
};

const HOUR: Duration = Duration::from_secs(3600);

pub(crate) struct Bank {
    pub(crate) platform: Platform,
    pub(crate) broker: Arc<ScriptedBroker>,
    pub(crate) accounts: ScriptedAccounts,
}

/// Runs a scenario on SQLite.
pub(crate) async fn on_sqlite<F>(scenario: impl FnOnce(Arc<Bank>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    database::on_sqlite(async |url| run(url, scenario).await).await;
}

/// Runs a scenario on PostgreSQL, if it is there.
pub(crate) async fn in_postgres<F>(scenario: impl FnOnce(Arc<Bank>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    on_postgres(async |url| run(url, scenario).await).await;
}

/// Runs a scenario on PostgreSQL behind a proxy, if it is there.
pub(crate) async fn behind_a_proxy<F>(scenario: impl FnOnce(Arc<Bank>, Proxy) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    on_postgres(async |url| {
        let (proxy, through) = Proxy::before(url, 5432).await.unwrap();
        run(through.as_str(), |bank| scenario(bank, proxy)).await;
    })
    .await;
}

/// In a task of its own, as a process is.
async fn run<F>(url: &str, scenario: impl FnOnce(Arc<Bank>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let bank = Bank::open(url).await;
    let ended = tokio::spawn(scenario(bank)).await;
    ended.unwrap_or_else(|failed| resume_unwind(failed.into_panic()));
}

impl Bank {
    async fn open(database: &str) -> Arc<Self> {
        let mut settings = PlatformSettings::with_database(database);
        settings.database_connections = 4;
        let broker = ScriptedBroker::new();
        let platform = Platform::over("test", settings, Arc::clone(&broker), MemoryReplies::new());
        let platform = platform.await.unwrap();
        // A group that is away: events have somewhere to go.
        let away = platform
            .bus
            .subscribe("away", async |_: TransactionCompleted| ());
        away.await.unwrap().shutdown().await.unwrap();
        let accounts = platform.identity.of_program("account-service");
        Arc::new(Self {
            platform,
            broker,
            accounts: ScriptedAccounts::new(accounts),
        })
    }

    /// The account service; it goes on to the end of the test.
    pub(crate) async fn serve_accounts(&self) -> Serving {
        let server = AccountsServer::new(self.accounts.clone());
        self.platform.serve_anybody(server).unwrap().await.unwrap()
    }

    /// The transfer service, as a process that can be killed.
    pub(crate) async fn start(&self) -> Process {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let platform = self.platform.clone();
        let started = runtime.spawn(async move { transfer_service::start(&platform).await });
        let running = started.await.unwrap().unwrap();
        Process {
            running: Some(running),
            runtime: Some(runtime),
        }
    }

    pub(crate) async fn customer(&self, username: &str, balance: i64) -> Customer {
        let party = self.accounts.open(username, balance);
        let auth = self.platform.identity.of_program("auth-service");
        let session = auth.begin_session(party.user_id, username, HOUR).await;
        Customer {
            session: session.unwrap(),
            transfers: self.transfers(),
            party,
        }
    }

    pub(crate) fn transfers(&self) -> TransfersClient {
        TransfersClient::new(&self.platform.bus)
    }

    /// The tables of the transfer service, to look at.
    pub(crate) async fn database(&self) -> Database {
        let migrations = transfer_service::migrations();
        self.platform
            .database("transfer", &migrations)
            .await
            .unwrap()
    }

    /// As if the time had passed for which a process that died had leased what it was at work on.
    pub(crate) async fn let_leases_lapse(&self) {
        let database = self.database().await;
        for lapse in [
            "UPDATE transfers SET leased_until = 0",
            "UPDATE outbox SET leased_until = 0",
        ] {
            sqlx::query(lapse).execute(database.pool()).await.unwrap();
        }
        database.close().await;
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        let database = self.database().await;
        let count = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let count: (i64,) = sqlx::query_as(count)
            .fetch_one(database.pool())
            .await
            .unwrap();
        database.close().await;
        count.0
    }

    /// Waits until the broker has all events and the service knows.
    pub(crate) async fn outbox_is_empty(&self) {
        let database = self.database().await;
        eventually("the broker has all events", async || {
            let left = sqlx::query_as("SELECT COUNT(*) FROM outbox").fetch_one(database.pool());
            let (left,): (i64,) = left.await.unwrap();
            (left == 0).then_some(())
        })
        .await;
        database.close().await;
    }
}

pub(crate) struct Process {
    running: Option<Running>,
    runtime: Option<Runtime>,
}

impl Process {
    /// Kills it where it stands.
    pub(crate) async fn crash(mut self) {
        let runtime = self.runtime.take().unwrap();
        // Returns when all its threads have ended: nothing of it is heard of afterwards.
        let killed = move || runtime.shutdown_timeout(Duration::from_secs(60));
        tokio::task::spawn_blocking(killed).await.unwrap();
    }

    /// Has it stop in order.
    pub(crate) async fn stop(mut self) {
        let running = self.running.take().unwrap();
        let runtime = self.runtime.as_ref().unwrap();
        runtime.spawn(running.stop()).await.unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Clone)]
pub(crate) struct Customer {
    pub(crate) party: Party,
    pub(crate) session: String,
    transfers: TransfersClient,
}

/// What a customer is told.
pub(crate) type Answer = Result<TransferReceipt, TransferError>;

pub(crate) fn order(to: Recipient, amount: i64, key: &str) -> TransferOrder {
    TransferOrder {
        to,
        amount: Amount::new(amount).unwrap(),
        reference: None,
        key: IdempotencyKey::try_from(key.to_owned()).unwrap(),
    }
}

pub(crate) fn named(name: &str) -> Recipient {
    Recipient::Username(name.to_owned())
}

impl Customer {
    pub(crate) fn order(&self, order: TransferOrder) -> Call<Answer> {
        self.transfers
            .transfer(order)
            .metadata("session", &self.session)
    }

    /// Pays, or is told why not.
    pub(crate) async fn pay(&self, to: &str, amount: i64, key: &str) -> Answer {
        match self.order(order(named(to), amount, key)).await {
            Ok(receipt) => Ok(receipt),
            Err(CallError::Handler(error)) => Err(error),
            Err(CallError::Bus(failure)) => panic!("{failure:?}"),
        }
    }

    /// Asks again for as long as it takes, a little each time.
    pub(crate) async fn pay_in_the_end(&self, to: &str, amount: i64, key: &str) -> Answer {
        eventually("the transfer has its verdict", async || {
            let call = self.order(order(named(to), amount, key));
            match call.timeout(Duration::from_secs(4)).await {
                Ok(receipt) => Some(Ok(receipt)),
                Err(CallError::Handler(TransferError::Pending | TransferError::Refused(_))) => None,
                Err(CallError::Handler(error)) => Some(Err(error)),
                Err(CallError::Bus(_)) => None,
            }
        })
        .await
    }

    pub(crate) async fn transactions(&self) -> Vec<Transaction> {
        let page = self.transfers.transactions(PageRequest::new(1, 100));
        let page = page.metadata("session", &self.session).await;
        page.unwrap().items
    }

    /// Waits until none of this customer's transfers is pending.
    pub(crate) async fn is_settled(&self) -> Vec<Transaction> {
        eventually("no transfer is pending", async || {
            let all = self.transactions().await;
            let pending = |transfer: &Transaction| transfer.status == TransferStatus::Pending;
            (!all.iter().any(pending)).then_some(all)
        })
        .await
    }
}
