//! Nothing that is logged tells a password or a token, whatever the level.

use crate::world::{by_name, on_both};
use contracts::auth::{AuthError, Login, LoginName, Password};
use std::{
    io,
    sync::{Mutex, Once, PoisonError},
};
use tracing_subscriber::fmt::MakeWriter;

/// Part of every password of these tests.
pub(crate) const MARK: &str = "-open-sesame";

static LOG: Mutex<String> = Mutex::new(String::new());

/// Keeps every line that is logged in this process from now on.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(Ear)
            .init();
    });
}

/// Whether that was logged.
pub(crate) fn heard(what: &str) -> bool {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    log.contains(what)
}

struct Ear;

impl<'a> MakeWriter<'a> for Ear {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl io::Write for Ear {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        log.push_str(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_line_tells_a_password_a_token_or_what_was_typed_as_a_name() {
    on_both(async |world| {
        tracing::trace!("the ear is awake");
        assert!(heard("the ear is awake"));
        world.register("ada", "ada's").await.unwrap();
        let session = world.login("ada", "ada's").await.unwrap().session;
        let wrong = world.login("ada", "a wrong one").await;
        assert!(wrong.is_err());
        // Somebody is a line too far up.
        let typed = Login {
            who: LoginName::Username(format!("typed{MARK}")),
            password: Password::clear(String::new()),
        };
        assert!(world.auth().login(typed).await.is_err());
        let logout = world.auth().logout().metadata("session", &session).await;
        logout.unwrap();

        let signature = session.rsplit('.').next().unwrap();
        assert!(!heard(signature), "a token was logged");
        assert!(!heard(MARK), "a password was logged");
        let hash = world.stored_hash("ada").await;
        assert!(!heard(&hash), "a hash was logged");
    })
    .await;
}

#[test]
fn no_debug_shows_a_password() {
    let login = by_name("ada", "ada's");
    assert!(!format!("{login:?} {:?}", AuthError::InvalidCredentials).contains(MARK));
}
