//! Repeating what a moment may mend.

use backon::{ExponentialBuilder, Retryable};
use replybus::Context;
use std::{error::Error, future::Future, time::Duration};

/// What sqlx says of a server that closes a connection before it has answered whether it speaks TLS,
/// as one does that is ending, or a proxy that has none behind it: it takes the byte that did not
/// come for a zero.
const CLOSED_AT_ONCE: &str = "unexpected response from SSLRequest: 0x00";

/// `true` if a statement or transaction that failed so may succeed when it is repeated whole: the
/// connection was lost or fell silent, nobody could be reached, or others were in the way. Whether
/// it was carried out is then unknown, so only what is safe to repeat may be repeated.
#[must_use]
pub fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Protocol(what) => what.contains(CLOSED_AT_ONCE),
        sqlx::Error::Database(error) => match error.code().as_deref() {
            // PostgreSQL: connection exceptions (08), insufficient resources (53), operator
            // intervention such as a shutdown (57P), serialization failure, deadlock, lock and
            // statement timeout, a transaction that was ended because it was idle, and a server that
            // is only read, as a standby is until it takes over.
            Some(code) if code.starts_with("08") || code.starts_with("53") => true,
            Some(
                "25006" | "25P03" | "40001" | "40P01" | "55P03" | "57014" | "57P01" | "57P02"
                | "57P03",
            ) => true,
            // SQLite: busy and locked, extended codes included.
            Some("5" | "6" | "261" | "262" | "517" | "773") => true,
            _ => false,
        },
        _ => false,
    }
}

/// `true` if the connection was not made for a certificate, the server's or ours, and would not be
/// if it was tried again: a start does not wait for it.
pub(super) fn is_of_certificate(error: &sqlx::Error) -> bool {
    match error {
        // A file is not what it is to be, or the server has no TLS.
        sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => true,
        #[cfg(feature = "tls")]
        sqlx::Error::Io(error) => {
            let error = error.get_ref().and_then(|error| error.downcast_ref());
            matches!(
                error,
                Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_))
            )
        }
        _ => false,
    }
}

/// `true` if the database will never take what it was given, however often it is asked: a value
/// that is none of its type (SQLSTATE class 22), or that breaks a rule of the table (class 23).
#[must_use]
pub fn is_unacceptable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Encode(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| match code.len() {
            // The codes of PostgreSQL are five characters long.
            5 => code.starts_with("22") || code.starts_with("23"),
            // SQLite: too big, constraint, mismatch; what is above a byte says which.
            _ => code
                .parse()
                .is_ok_and(|code: u32| matches!(code & 0xff, 18..=20)),
        }),
        _ => false,
    }
}

/// Attempts something that is safe to repeat until it is done, or fails for another reason than a
/// [transient](is_transient) error of the database, which may be the error's source: 6 times in
/// about a second. Who got no connection has waited long enough, and is told so while their caller
/// still listens; and when the call that is being served is no longer waited for, nothing is
/// repeated.
///
/// # Errors
/// The last attempt's.
///
/// # Cancel safety
/// As of `attempt`.
pub async fn patiently<T, E, F>(attempt: impl FnMut() -> F) -> Result<T, E>
where
    E: Error + 'static,
    F: Future<Output = Result<T, E>>,
{
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_millis(500))
        .with_jitter()
        .with_max_times(5);
    let context = Context::current();
    attempt
        .retry(pauses)
        .when(|error| of_database(error).is_some_and(is_worth_repeating) && !context.is_cancelled())
        .await
}

fn is_worth_repeating(error: &sqlx::Error) -> bool {
    is_transient(error) && !matches!(error, sqlx::Error::PoolTimedOut)
}

/// The database's part in an error.
pub(super) fn of_database<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a sqlx::Error> {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.find_map(|cause| cause.downcast_ref::<sqlx::Error>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Connection as _, PgConnection};
    use std::{io, sync::atomic::AtomicU32, sync::atomic::Ordering};
    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("the database failed")]
        Database(#[from] sqlx::Error),
        #[error("no")]
        Answer,
    }

    async fn attempts(fail: impl Fn() -> Failure) -> u32 {
        let attempts = AtomicU32::new(0);
        let attempt = || {
            attempts.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Err::<(), _>(fail()))
        };
        patiently(attempt).await.unwrap_err();
        attempts.into_inner()
    }

    #[tokio::test]
    async fn what_passes_is_repeated_and_nothing_else() {
        let lost = || sqlx::Error::Io(io::ErrorKind::ConnectionReset.into()).into();
        assert_eq!(attempts(lost).await, 6);
        assert_eq!(attempts(|| sqlx::Error::PoolTimedOut.into()).await, 1);
        assert_eq!(attempts(|| sqlx::Error::RowNotFound.into()).await, 1);
        assert_eq!(attempts(|| Failure::Answer).await, 1);
    }

    #[tokio::test]
    async fn a_connection_that_is_closed_before_it_is_answered_may_work_the_next_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "postgres://postgres@{}/postgres",
            listener.local_addr().unwrap()
        );
        let closing = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            // What is unread would reset it.
            connection.read_exact(&mut [0; 8]).await.unwrap();
        };
        let (connected, ()) = tokio::join!(PgConnection::connect(&url), closing);
        let error = connected.unwrap_err();
        assert!(is_transient(&error), "{error:?}");
        assert!(!is_transient(&sqlx::Error::Protocol(
            "it is no server of PostgreSQL".to_owned()
        )));
    }
}
