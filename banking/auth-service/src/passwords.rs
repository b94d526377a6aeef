//! Passwords are hashed with Argon2id (RFC 9106), and compared with such hashes.

use crate::password::Password;
use argon2::{
    Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _,
    password_hash::{Error as HashError, Result as HashResult},
};
use contracts::{Refused, auth::AuthError};
use replybus::Context;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

/// The longest wait for a turn. Whoever waited longer would rather try again.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Hashes passwords, off the threads that serve calls and only so many at once: each takes a
/// processor and 19 MiB.
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    /// The hash of a password that nobody knows, checked for users that do not exist.
    nobodys: Arc<PasswordHash>,
    at_once: Arc<Semaphore>,
}

/// A password, compared with a stored hash.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PasswordCheck {
    /// Another one.
    Wrong,
    /// The one that was hashed.
    Right,
    /// The one that was hashed, with parameters that are no longer in use.
    Outdated {
        /// Its hash with those that are.
        renewed: String,
    },
}

impl Passwords {
    /// Hashes as many as `at_once` at the same time.
    pub(crate) fn new(at_once: usize) -> HashResult<Self> {
        // Argon2id version 19, 19 MiB, 2 passes, 1 lane: what OWASP asks for at least.
        let argon2 = Argon2::default();
        let nobodys = argon2.hash_password(&rand::random::<[u8; 32]>())?;
        Ok(Self {
            argon2,
            nobodys: Arc::new(nobodys),
            at_once: Arc::new(Semaphore::new(at_once)),
        })
    }

    /// The hash to store, as a PHC string.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, AuthError> {
        let argon2 = self.argon2.clone();
        self.compute(move || {
            let hash = argon2.hash_password(password.reveal().as_bytes())?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Compares a password with a stored hash. Without one it is wrong, and takes as long.
    pub(crate) async fn check(
        &self,
        password: Password,
        stored: Option<String>,
    ) -> Result<PasswordCheck, AuthError> {
        let (argon2, nobodys) = (self.argon2.clone(), Arc::clone(&self.nobodys));
        self.compute(move || check(&argon2, &password, stored.as_deref(), &nobodys))
            .await
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> HashResult<T> + Send + 'static,
    ) -> Result<T, AuthError> {
        let permit = self.permit().await?;
        let computed = spawn_blocking(move || {
            // Held until the processor is free, also if nobody waits any longer.
            let _permit = permit;
            work()
        });
        match computed.await {
            Ok(Ok(computed)) => Ok(computed),
            Ok(Err(error)) => {
                tracing::error!(%error, "a password can't be hashed");
                Err(Refused::Unavailable.into())
            }
            Err(error) => {
                tracing::error!(%error, "hashing a password was given up");
                Err(Refused::Unavailable.into())
            }
        }
    }

    /// Waits for a processor.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, AuthError> {
        match timeout(patience(), Arc::clone(&self.at_once).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(AuthError::Busy),
        }
    }
}

/// The longest wait for a turn: at most half of what is left, because the rest of the call takes
/// time as well, and to be told to try again is better than silence.
pub(crate) fn patience() -> Duration {
    let left = Context::current().remaining().map(|left| left / 2);
    left.map_or(WAIT_MAX, |half| half.min(WAIT_MAX))
}

fn check(
    argon2: &Argon2<'_>,
    password: &Password,
    stored: Option<&str>,
    nobodys: &PasswordHash,
) -> HashResult<PasswordCheck> {
    let password = password.reveal().as_bytes();
    let stored = stored.map(PasswordHash::new).transpose()?;
    match argon2.verify_password(password, stored.as_ref().unwrap_or(nobodys)) {
        Ok(()) => {}
        Err(HashError::PasswordInvalid) => return Ok(PasswordCheck::Wrong),
        Err(error) => return Err(error),
    }
    let Some(stored) = stored else {
        return Ok(PasswordCheck::Wrong);
    };
    let of = |hash: &PasswordHash| (hash.algorithm, hash.version, hash.params.clone());
    if of(&stored) == of(nobodys) {
        return Ok(PasswordCheck::Right);
    }
    let renewed = argon2.hash_password(password)?.to_string();
    Ok(PasswordCheck::Outdated { renewed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::{Algorithm, Params, Version};
    use tokio::time::Instant;

    fn sesame() -> Password {
        Password::from("open sesame".to_owned())
    }

    #[tokio::test]
    async fn a_password_is_right_only_for_its_own_hash() {
        let passwords = Passwords::new(2).unwrap();
        let stored = passwords.hash(sesame()).await.unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        assert_ne!(stored, passwords.hash(sesame()).await.unwrap(), "salted");

        let right = passwords.check(sesame(), Some(stored.clone())).await;
        assert_eq!(right, Ok(PasswordCheck::Right));
        for wrong in ["open sesam", "Open sesame", "", "open sesame\0"] {
            let wrong = Password::from(wrong.to_owned());
            let verdict = passwords.check(wrong, Some(stored.clone())).await;
            assert_eq!(verdict, Ok(PasswordCheck::Wrong));
        }
        assert_eq!(
            passwords.check(sesame(), None).await,
            Ok(PasswordCheck::Wrong)
        );
    }

    #[tokio::test]
    async fn a_weaker_hash_is_renewed_once_its_password_is_known() {
        let weak = Params::new(8 * 1024, 1, 1, None).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, weak);
        let weak = weak.hash_password(b"open sesame").unwrap().to_string();
        let passwords = Passwords::new(1).unwrap();
        let wrong = Password::from("something else".to_owned());
        let verdict = passwords.check(wrong, Some(weak.clone())).await;
        assert_eq!(verdict, Ok(PasswordCheck::Wrong));

        let verdict = passwords.check(sesame(), Some(weak)).await.unwrap();
        let PasswordCheck::Outdated { renewed } = verdict else {
            panic!("{verdict:?}");
        };
        let again = passwords.check(sesame(), Some(renewed)).await;
        assert_eq!(again, Ok(PasswordCheck::Right));
    }

    #[tokio::test]
    async fn a_stored_hash_that_is_none_is_not_a_wrong_password() {
        let passwords = Passwords::new(1).unwrap();
        for stored in ["", "open sesame", "$argon2id$", "$md5$v=1$c2FsdA$aGFzaA"] {
            let verdict = passwords.check(sesame(), Some(stored.to_owned())).await;
            assert_eq!(verdict, Err(Refused::Unavailable.into()), "{stored}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_too_long_is_told_to_try_again() {
        let passwords = Passwords::new(1).unwrap();
        let taken = passwords.permit().await.unwrap();
        assert_eq!(passwords.hash(sesame()).await, Err(AuthError::Busy));

        let began = Instant::now();
        let left = Duration::from_secs(2);
        let hurried = Context::builder().deadline(began + left).build();
        let refused = hurried.scope(passwords.check(sesame(), None)).await;
        assert_eq!(refused, Err(AuthError::Busy));
        assert!(began.elapsed() < left, "while the caller still listens");

        drop(taken);
        assert!(passwords.permit().await.is_ok());
    }
}
