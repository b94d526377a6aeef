//! The service in its surroundings, once on SQLite and once on PostgreSQL.

use crate::{
    accounts::FakeAccounts,
    secrecy::{self, MARK},
};
use chassis::{Database, Platform, Running, settings::PlatformSettings};
use contracts::{
    account::AccountsServer,
    auth::{AuthClient, AuthError, LoggedIn, Login, LoginName, Password, Registered, Registration},
};
use replybus::CallError;
use replybus_testkit::proxy::Proxy;
use sqlx::Row as _;
use std::time::Duration;
use town::database::{on_postgres, on_sqlite};

/// The service, and what it works with.
pub(crate) struct World {
    pub(crate) platform: Platform,
    pub(crate) accounts: FakeAccounts,
    /// The service's own database, looked at from outside.
    pub(crate) database: Database,
    running: Running,
}

/// Sessions of most tests last longer than they do.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Runs a test on both kinds of databases; on PostgreSQL if there is one.
pub(crate) async fn on_both(test: impl AsyncFn(&World)) {
    with_sessions_of(HOUR, test).await;
}

/// The same, with sessions that live that long.
pub(crate) async fn with_sessions_of(ttl: Duration, test: impl AsyncFn(&World)) {
    on_sqlite(async |url| World::run(url, ttl, &test).await).await;
    on_postgres(async |url| World::run(url, ttl, &test).await).await;
}

/// Runs a test on PostgreSQL behind a proxy, if there is one.
pub(crate) async fn behind_a_proxy(test: impl AsyncFn(&World, &Proxy)) {
    on_postgres(async |url| {
        let (proxy, through) = Proxy::before(url, 5432).await.unwrap();
        let test = async |world: &World| test(world, &proxy).await;
        World::run(through.as_str(), HOUR, &test).await;
    })
    .await;
}

impl World {
    async fn run(url: &str, ttl: Duration, test: &impl AsyncFn(&Self)) {
        secrecy::listen();
        let world = Self::start(url, ttl).await;
        test(&world).await;
        world.end().await;
    }

    async fn start(url: &str, ttl: Duration) -> Self {
        Self::of(PlatformSettings::with_database(url), ttl).await
    }

    /// A replica with these settings, on a bus of its own unless they name RabbitMQ.
    pub(crate) async fn of(mut settings: PlatformSettings, ttl: Duration) -> Self {
        settings.database_connections = 4;
        let platform = Platform::connect("test", settings).await.unwrap();
        let running = auth_service::start(&platform, ttl).await;
        let accounts = FakeAccounts::new(platform.identity.of_program("account-service"));
        let serving = platform.serve_anybody(AccountsServer::new(accounts.clone()));
        let running = running.unwrap().serving(serving.unwrap().await.unwrap());
        let migrations = auth_service::migrations();
        let database = platform.database("auth", &migrations).await.unwrap();
        Self {
            platform,
            accounts,
            database,
            running,
        }
    }

    /// Whatever a test did: no password was kept or told.
    pub(crate) async fn end(self) {
        let rows = "SELECT id, username, username_key, COALESCE(phone, ''), password_hash,
            registered_by FROM users";
        let rows = sqlx::query(rows).fetch_all(self.database.pool()).await;
        for row in rows.unwrap() {
            for column in 0..row.len() {
                assert!(!row.get::<String, _>(column).contains(MARK));
            }
        }
        assert!(!secrecy::heard(MARK), "a password was logged");
        self.running.stop().await;
        self.database.close().await;
    }

    pub(crate) fn auth(&self) -> AuthClient {
        AuthClient::new(&self.platform.bus)
    }

    pub(crate) async fn register(&self, username: &str, password: &str) -> Outcome<Registered> {
        self.auth()
            .register(applicant(username, password, None))
            .await
    }

    pub(crate) async fn register_with_phone(
        &self,
        username: &str,
        password: &str,
        phone: &str,
    ) -> Outcome<Registered> {
        let applicant = applicant(username, password, Some(phone));
        self.auth().register(applicant).await
    }

    pub(crate) async fn login(&self, username: &str, password: &str) -> Outcome<LoggedIn> {
        self.auth().login(by_name(username, password)).await
    }

    /// The stored hash of a user's password.
    pub(crate) async fn stored_hash(&self, username: &str) -> String {
        let select = "SELECT password_hash FROM users WHERE username = $1";
        let row = sqlx::query(select).bind(username);
        let row = row.fetch_one(self.database.pool()).await.unwrap();
        row.get(0)
    }
}

pub(crate) type Outcome<T> = Result<T, CallError<AuthError>>;

/// The error of the handler.
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Outcome<T>) -> AuthError {
    match outcome {
        Err(CallError::Handler(error)) => error,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn applicant(username: &str, password: &str, phone: Option<&str>) -> Registration {
    Registration {
        username: username.to_owned(),
        password: password_of(password),
        phone: phone.map(str::to_owned),
        key: None,
    }
}

pub(crate) fn by_name(username: &str, password: &str) -> Login {
    Login {
        who: LoginName::Username(username.to_owned()),
        password: password_of(password),
    }
}

pub(crate) fn by_phone(phone: &str, password: &str) -> Login {
    Login {
        who: LoginName::Phone(phone.to_owned()),
        password: password_of(password),
    }
}

/// Every password of these tests carries the mark that is looked for at the end. It is sent as
/// gateways of an older version do; `sealed` has the others.
pub(crate) fn password_of(password: &str) -> Password {
    Password::clear(format!("{password}{MARK}"))
}
