//! The auth service: who somebody is.
//!
//! In reading order: [`SessionSettings`] are read and the service is [`start`]ed; `service` takes
//! the calls and opens what is sealed in them (`password`), `registration`, `login` and `change`
//! decide, `fields` says what can be registered, and `weak` which passwords can't. All prove a
//! password (`proof`), which wrong ones before it may put off and `passwords` computes. `account`
//! has the user's account opened, and `users` is the table.

mod account;
mod change;
mod fields;
mod login;
mod password;
mod passwords;
mod proof;
mod registration;
mod service;
mod settings;
mod users;
mod weak;

pub use contracts::program::AUTH_SERVICE as NAME;
pub use settings::SessionSettings;

use anyhow::{Context as _, ensure};
use chassis::{Platform, Running, guesses::Rules};
use contracts::{account::AccountsClient, auth::AuthServer};
use passwords::Passwords;
use service::{AuthService, Authenticator};
use sqlx::migrate::Migrator;
use std::{num::NonZero, time::Duration};
use tokio_util::task::TaskTracker;
use users::Users;

/// The longest pause after wrong passwords is half a minute: who guesses is slow enough, and the user
/// does not give up.
const GUESSES: Rules = Rules::with_pauses_up_to(Duration::from_secs(30));

/// Wrong passwords for one name from anywhere, after which an address that was wrong before has to
/// wait for all others, too: NIST SP 800-63B allows so many in a row. One that was not has its
/// first try, so that the right password always gets in.
const BRAKE_FREE: u32 = 100;

/// Most calls wait: for one of the few passwords that are checked at once, or for the account
/// service. There is room for many, so that a health check gets past them; each holds little.
const CONCURRENCY: u16 = 128;

/// Starts the service. Sessions that it begins live for `session_ttl`.
///
/// # Errors
/// The keys have no private half to sign sessions or passes with, or its database or its queue
/// can't be had.
///
/// # Cancel safety
/// Not to be dropped before it is ready.
pub async fn start(platform: &Platform, session_ttl: Duration) -> anyhow::Result<Running> {
    Running::start(NAME, async |life| begin(life, platform, session_ttl).await).await
}

async fn begin(
    life: Running,
    platform: &Platform,
    session_ttl: Duration,
) -> anyhow::Result<Running> {
    let platform = platform.of_issuer(NAME)?;
    ensure!(
        platform.identity.can_begin_sessions(),
        "the keys have no private half, and sessions can't be signed: session-signing.pem is \
         missing in the directory of keys"
    );
    let database = platform.database("auth", &migrations()).await?;
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let authenticator = Authenticator {
        identity: platform.identity.clone(),
        users: Users::new(database),
        passwords: Passwords::new(processors).context("passwords can't be hashed")?,
        guesses: platform.guesses("passwords", GUESSES),
        brake: platform.guesses("passwords-brake", GUESSES.free(BRAKE_FREE)),
        accounts: AccountsClient::new(&platform.bus),
        session_ttl,
    };
    let tasks = TaskTracker::new();
    let opening = platform.password_opening()?;
    let service = AuthService::new(authenticator, opening, tasks.clone());
    let serving = platform.serve(AuthServer::new(service))?;
    let serving = serving.concurrency(CONCURRENCY);
    let serving = serving.version(env!("CARGO_PKG_VERSION")).await?;
    // What a caller no longer waits for is still brought to its end.
    Ok(life.serving(serving).on_stopped(async move {
        tasks.close();
        tasks.wait().await;
    }))
}

/// The migrations of its database.
#[must_use]
pub fn migrations() -> Migrator {
    chassis::migrations!["0001_users"]
}
