//! An account service with customers.

use crate::audit;
use chassis::{Database, Platform, Running, identity::SESSION, settings::PlatformSettings};
use contracts::{
    AccountNumber, Amount, IdempotencyKey, Page, PageRequest, UserId,
    account::{
        AccountError, AccountsClient, Balance, NewHolder, Posted, Profile, StatementEntry,
        StatementFilter, TransferPosting,
    },
};
use futures_util::FutureExt;
use replybus::{Call, CallError, client::Outcome, stream::Streaming};
use replybus_testkit::{live::require_or_skip, proxy::Proxy, servers::PrivatePostgres};
use sqlx::{Connection as _, PgConnection};
use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};
use town::{
    database::{on_postgres, on_sqlite},
    wait::eventually,
};
use uuid::Uuid;

/// A busy machine takes its time. Whoever waits for this long waits in vain.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A service, and the bus it is on.
pub(crate) struct Branch {
    pub(crate) platform: Platform,
    pub(crate) accounts: AccountsClient,
    /// What the service wrote, as seen past it.
    pub(crate) database: Database,
    running: Running,
}

impl Branch {
    /// Runs a test on SQLite in memory.
    pub(crate) async fn in_memory(test: impl AsyncFnOnce(&Self)) {
        let platform = platform("sqlite::memory:").await;
        // It belongs to who opened it: the service and the audit share it.
        let migrations = account_service::migrations();
        let database = platform.database("account", &migrations).await.unwrap();
        let running = account_service::start_on(&platform, database.clone());
        let running = running.await.unwrap();
        Self::new(platform, database, running).run(test).await;
    }

    /// Runs a test on a file of SQLite.
    pub(crate) async fn in_a_file(test: impl AsyncFnOnce(&Self)) {
        on_sqlite(async |url| Self::start(url, url).await.run(test).await).await;
    }

    /// Runs a test on PostgreSQL, if it is there.
    pub(crate) async fn in_postgres(test: impl AsyncFnOnce(&Self)) {
        on_postgres(async |url| Self::start(url, url).await.run(test).await).await;
    }

    /// Runs a test on PostgreSQL behind a proxy, if it is there.
    pub(crate) async fn behind_a_proxy(test: impl AsyncFnOnce(&Self, &Proxy)) {
        on_postgres(async |url| {
            let (proxy, through) = Proxy::before(url, 5432).await.unwrap();
            let branch = Self::start(through.as_str(), url).await;
            branch.run(async |branch| test(branch, &proxy).await).await;
        })
        .await;
    }

    /// Runs a test on a PostgreSQL that may be killed, if there is one.
    pub(crate) async fn on_a_server_of_its_own(
        test: impl AsyncFnOnce(&Self, &mut PrivatePostgres),
    ) {
        let Some(mut postgres) = require_or_skip(PrivatePostgres::start().await) else {
            return;
        };
        let url = postgres.url();
        // It answers before it takes connections.
        eventually("PostgreSQL takes connections", async || {
            PgConnection::connect(&url).await.ok().map(drop)
        })
        .await;
        let branch = Self::start(&url, &url).await;
        branch
            .run(async |branch| test(branch, &mut postgres).await)
            .await;
    }

    /// Runs a test on a PostgreSQL that has a standby, if there are such: what leads to the first can
    /// be made to lead to the second.
    pub(crate) async fn with_a_standby(
        test: impl AsyncFnOnce(&Self, &Proxy, &mut [PrivatePostgres; 2]),
    ) {
        let started = PrivatePostgres::with_standby().await;
        let Some(mut servers) = require_or_skip(started) else {
            return;
        };
        let (proxy, url) = Proxy::before(&servers[0].url(), 5432).await.unwrap();
        let branch = Self::start(url.as_str(), url.as_str()).await;
        branch
            .run(async |branch| test(branch, &proxy, &mut servers).await)
            .await;
    }

    async fn start(url: &str, audited: &str) -> Self {
        let platform = platform(url).await;
        let running = account_service::start(&platform).await.unwrap();
        let audited = PlatformSettings::with_database(audited);
        let migrations = account_service::migrations();
        let database = Database::open(&audited, "account", &migrations).await;
        Self::new(platform, database.unwrap(), running)
    }

    fn new(platform: Platform, database: Database, running: Running) -> Self {
        Self {
            accounts: AccountsClient::new(&platform.bus),
            platform,
            database,
            running,
        }
    }

    /// Runs a test, and audits the ledger.
    async fn run(self, test: impl AsyncFnOnce(&Self)) {
        let tested = AssertUnwindSafe(async {
            test(&self).await;
            audit::ledger(&self.database).await;
        });
        let tested = tested.catch_unwind().await;
        self.running.stop().await;
        self.database.close().await;
        tested.unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// Makes a call as the service `program`.
    pub(crate) fn as_service<R: Outcome>(&self, program: &str, call: Call<R>) -> Call<R> {
        let (name, pass) = self.platform.identity.of_program(program).service_pass();
        call.metadata(name, pass).timeout(PATIENCE)
    }

    /// Opens an account and begins a session.
    pub(crate) async fn customer(&self, username: &str) -> Customer {
        let id = UserId::new();
        let profile = self.open(id, username).await.unwrap();
        Customer {
            id,
            number: profile.account_number,
            session: self.session(id, username).await,
            accounts: self.accounts.clone(),
        }
    }

    pub(crate) async fn customers<const N: usize>(&self) -> [Customer; N] {
        let opening = (0..N).map(|n| async move { self.customer(&format!("user{n}")).await });
        let customers: Vec<_> = futures_util::future::join_all(opening).await;
        customers.try_into().ok().unwrap()
    }

    pub(crate) async fn session(&self, id: UserId, username: &str) -> String {
        let identity = self.platform.identity.of_program("auth-service");
        identity
            .begin_session(id, username, PATIENCE)
            .await
            .unwrap()
    }

    pub(crate) async fn open(
        &self,
        user_id: UserId,
        username: &str,
    ) -> Result<Profile, CallError<AccountError>> {
        let holder = NewHolder {
            user_id,
            username: username.to_owned(),
            phone: Some("49****78".to_owned()),
        };
        self.as_service("auth-service", self.accounts.open(holder))
            .await
    }

    /// Posts a transfer as the transfer service does.
    pub(crate) async fn post(
        &self,
        transfer: Uuid,
        from: &Customer,
        to: &Customer,
        units: i64,
    ) -> Result<Posted, CallError<AccountError>> {
        self.post_for(transfer, from, to, units, None).await
    }

    /// Posts a transfer that says what it is for.
    pub(crate) async fn post_for(
        &self,
        transfer: Uuid,
        from: &Customer,
        to: &Customer,
        units: i64,
        reference: Option<&str>,
    ) -> Result<Posted, CallError<AccountError>> {
        let posting = TransferPosting {
            transfer,
            from: from.number.clone(),
            to: to.number.clone(),
            amount: amount(units),
            reference: reference.map(|text| text.parse().unwrap()),
        };
        self.as_service("transfer-service", self.accounts.post_transfer(posting))
            .await
    }
}

/// A user with a session.
#[derive(Clone)]
pub(crate) struct Customer {
    pub(crate) id: UserId,
    pub(crate) number: AccountNumber,
    pub(crate) session: String,
    accounts: AccountsClient,
}

impl Customer {
    /// Makes a call as this user.
    pub(crate) fn asks<R: Outcome>(&self, call: Call<R>) -> Call<R> {
        call.metadata(SESSION, &self.session).timeout(PATIENCE)
    }

    pub(crate) async fn deposit(&self, units: i64, name: &str) -> Result<i64, AccountError> {
        said(
            self.asks(self.accounts.deposit(amount(units), key(name)))
                .await,
        )
    }

    pub(crate) async fn withdraw(&self, units: i64, name: &str) -> Result<i64, AccountError> {
        said(
            self.asks(self.accounts.withdraw(amount(units), key(name)))
                .await,
        )
    }

    pub(crate) async fn balance(&self) -> i64 {
        said(self.asks(self.accounts.balance()).await).unwrap()
    }

    pub(crate) async fn statement(&self, page: u32, size: u32) -> Page<StatementEntry> {
        self.find(page, size, StatementFilter::default()).await
    }

    /// A page of the entries that pass a filter.
    pub(crate) async fn find(
        &self,
        page: u32,
        size: u32,
        filter: StatementFilter,
    ) -> Page<StatementEntry> {
        let page = PageRequest::new(page, size);
        let statement = self.accounts.statement(page, filter);
        self.asks(statement).await.unwrap()
    }

    /// All entries that pass a filter, as they are read; so many bytes of them are on their way.
    pub(crate) async fn entries(
        &self,
        filter: StatementFilter,
        window: u32,
    ) -> Result<Streaming<StatementEntry, AccountError>, CallError<AccountError>> {
        let entries = self.accounts.entries(filter).window_bytes(window);
        let entries = entries.metadata(SESSION, &self.session);
        entries.timeout(PATIENCE).await
    }
}

fn said(answer: Result<Balance, CallError<AccountError>>) -> Result<i64, AccountError> {
    match answer {
        Ok(balance) => Ok(balance.balance),
        Err(CallError::Handler(error)) => Err(error),
        Err(CallError::Bus(failure)) => panic!("{failure:?}"),
    }
}

pub(crate) fn amount(units: i64) -> Amount {
    Amount::new(units).unwrap()
}

pub(crate) fn key(name: &str) -> IdempotencyKey {
    name.to_owned().try_into().unwrap()
}

/// The handler's own error.
pub(crate) fn refusal<T: std::fmt::Debug>(
    answer: Result<T, CallError<AccountError>>,
) -> AccountError {
    match answer {
        Err(CallError::Handler(error)) => error,
        answer => panic!("{answer:?} is no error of the handler"),
    }
}

async fn platform(url: &str) -> Platform {
    // The bus is within the process.
    let settings = PlatformSettings::with_database(url);
    Platform::connect("test", settings).await.unwrap()
}

/// Runs tests of this module on each kind of database.
macro_rules! on_each_database {
    ($($test:ident,)+) => {
        mod in_memory { on_each_database!(in_memory: $($test,)+); }
        mod in_a_file { on_each_database!(in_a_file: $($test,)+); }
        mod in_postgres { on_each_database!(in_postgres: $($test,)+); }
    };
    ($database:ident: $($test:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                $crate::branch::Branch::$database(super::$test).await;
            }
        )+
    };
}
