//! The service in its surroundings, once on SQLite and once on PostgreSQL.

use crate::{
    accounts::FakeAccounts,
    secrecy::{self, MARK},
};
use auth_service::SessionSettings;
use chassis::{Database, Platform, Running, settings::PlatformSettings};
use clap::Parser;
use contracts::{
    account::AccountsServer,
    auth::{AuthClient, AuthError, LoggedIn, Login, LoginName, Password, Registered, Registration},
};
use futures_util::FutureExt as _;
use replybus::CallError;
use replybus_tests::proxy::Proxy;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};
use url::Url;
use uuid::Uuid;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    platform: PlatformSettings,
    #[command(flatten)]
    sessions: SessionSettings,
}

/// The service, and what it works with.
pub(crate) struct World {
    pub(crate) platform: Platform,
    pub(crate) accounts: FakeAccounts,
    /// The service's own database, looked at from outside.
    pub(crate) database: Database,
    running: Running,
}

/// Runs a test on both kinds of databases; on PostgreSQL if there is one.
pub(crate) async fn on_both(test: impl AsyncFn(&World)) {
    with_sessions_of(Duration::from_secs(3600), test).await;
}

/// The same, with sessions that live that long.
pub(crate) async fn with_sessions_of(ttl: Duration, test: impl AsyncFn(&World)) {
    secrecy::listen();
    let directory = std::env::temp_dir().join(format!("auth-{}", Uuid::new_v4()));
    let outcome = run(&format!("sqlite:{}", directory.display()), ttl, &test).await;
    std::fs::remove_dir_all(directory).unwrap();
    outcome.unwrap_or_else(|panic| resume_unwind(panic));

    on_postgres(async |url| run(url.as_str(), ttl, &test).await).await;
}

/// Runs a test on PostgreSQL behind a proxy, if there is one.
pub(crate) async fn behind_a_proxy(test: impl AsyncFn(&World, &Proxy)) {
    secrecy::listen();
    on_postgres(async |url| {
        let (proxy, url) = Proxy::before(url.as_str(), 5432).await.unwrap();
        let test = async |world: &World| test(world, &proxy).await;
        run(url.as_str(), Duration::from_secs(3600), &test).await
    })
    .await;
}

async fn on_postgres(run: impl AsyncFnOnce(Url) -> std::thread::Result<()>) {
    let Some(server) = replybus_tests::live::postgres().await else {
        return;
    };
    let name = format!("test_{}", Uuid::new_v4().simple());
    let mut admin = PgConnection::connect(&server).await.unwrap();
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut admin).await.unwrap();
    let mut url = Url::parse(&server).unwrap();
    url.set_path(&name);
    let outcome = run(url).await;
    let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    sqlx::query(drop).execute(&mut admin).await.unwrap();
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
}

async fn run(url: &str, ttl: Duration, test: &impl AsyncFn(&World)) -> std::thread::Result<()> {
    let all = async {
        let world = World::start(url, ttl).await;
        test(&world).await;
        world.end().await;
    };
    AssertUnwindSafe(all).catch_unwind().await
}

impl World {
    async fn start(url: &str, ttl: Duration) -> Self {
        let seconds = ttl.as_secs().to_string();
        let mut program = Program::parse_from([
            "test",
            "--database-url",
            url,
            "--database-connections",
            "4",
            "--session-ttl-seconds",
            &seconds,
        ]);
        // Not what the environment of the tests may say: the bus is within the process.
        (program.platform.amqp_url, program.platform.redis_url) = (None, None);
        let platform = Platform::connect("test", program.platform).await.unwrap();
        let running = auth_service::start(&platform, program.sessions.ttl()).await;
        let accounts = FakeAccounts::new(platform.identity.of_program("account-service"));
        let serving = platform.bus.serve(AccountsServer::new(accounts.clone()));
        let running = running.unwrap().serving(serving.await.unwrap());
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
    async fn end(self) {
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

/// Every password of these tests carries the mark that is looked for at the end.
fn password_of(password: &str) -> Password {
    Password::new(format!("{password}{MARK}"))
}
