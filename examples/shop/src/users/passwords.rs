//! Passwords are hashed with Argon2id (RFC 9106), and compared with such hashes.

use crate::http::Problem;
use argon2::{
    Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _,
    password_hash::{Error as HashError, Result as HashResult},
};
use std::{io, num::NonZero, sync::Arc, thread::available_parallelism};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Hashes passwords, off the threads that serve requests and only so many at once: each takes a
/// processor and 19 MiB.
#[derive(Clone)]
pub(super) struct Passwords {
    argon2: Argon2<'static>,
    /// The hash of a password that nobody knows, compared for users that do not exist: who asks
    /// can't tell them apart by the time.
    nobodys: Arc<str>,
    at_once: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> anyhow::Result<Self> {
        // Argon2id version 19, 19 MiB, 2 passes, 1 lane: what OWASP asks for at least.
        let argon2 = Argon2::default();
        let nobodys = argon2.hash_password(&rand::random::<[u8; 32]>());
        let nobodys = nobodys.map_err(|error| anyhow::anyhow!("can't hash: {error}"))?;
        let processors = available_parallelism().map_or(1, NonZero::get);
        Ok(Self {
            argon2,
            nobodys: nobodys.to_string().into(),
            at_once: Arc::new(Semaphore::new(processors)),
        })
    }

    /// The hash to store, as a PHC string.
    pub(super) async fn hash(&self, password: String) -> Result<String, Problem> {
        let argon2 = self.argon2.clone();
        self.compute(move || Ok(argon2.hash_password(password.as_bytes())?.to_string()))
            .await
    }

    /// `true` if it is the one that was hashed. Without a hash it is not, and takes as long.
    pub(super) async fn is_right(
        &self,
        password: String,
        hash: Option<&str>,
    ) -> Result<bool, Problem> {
        let argon2 = self.argon2.clone();
        let (is_known, hash) = (hash.is_some(), hash.unwrap_or(&self.nobodys).to_owned());
        let matches = self.compute(move || {
            let hash = PasswordHash::new(&hash)?;
            match argon2.verify_password(password.as_bytes(), &hash) {
                Ok(()) => Ok(true),
                Err(HashError::PasswordInvalid) => Ok(false),
                Err(error) => Err(error),
            }
        });
        Ok(matches.await? && is_known)
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> HashResult<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = Arc::clone(&self.at_once).acquire_owned().await;
        let permit = permit.map_err(|error| Problem::unavailable(&error))?;
        let computed = spawn_blocking(move || {
            // Held until the processor is free, also if nobody waits any longer.
            let _permit = permit;
            work()
        });
        let computed = computed.await.map_err(io::Error::other);
        let computed = computed.map_err(|error| Problem::unavailable(&error))?;
        computed.map_err(|error| Problem::unavailable(&io::Error::other(error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_only_for_its_own_hash() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash("open sesame".to_owned()).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        for (password, stored, right) in [
            ("open sesame", Some(hash.as_str()), true),
            ("Open sesame", Some(hash.as_str()), false),
            ("open sesame", None, false),
        ] {
            let checked = passwords.is_right(password.to_owned(), stored).await;
            assert_eq!(checked.unwrap(), right, "{password} {stored:?}");
        }
        let broken = passwords.is_right(String::new(), Some("$md5$")).await;
        assert!(broken.is_err(), "not a wrong password");
    }
}
